"""Hugging Face's protocol with the real InferenceClient, and with invalid requests."""

import asyncio
import base64
import json

import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from hypothesis import given, settings
from hypothesis import strategies as st

GOLDEN = ("chelsea", "rocket", "coffee", "camera")


def hub(client, model="colours", **options):
    """Return the real client for a model of a service."""
    return InferenceClient(model=f"{client.base_url}/hf/{model}", timeout=20, **options)


def scores(elements):
    return {element.label: element.score for element in elements}


def b64(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("name", GOLDEN)
def test_predictions_equal_those_of_our_own_api(imagenet_client, golden, own, name):
    response = hub(imagenet_client, "imagenet").image_classification(golden(name))
    expected = own(imagenet_client, golden(name))
    assert list(scores(response)) == list(expected)
    assert scores(response) == pytest.approx(expected, abs=1e-6)


def test_bytes_and_files_get_the_same_predictions(client, photo, tmp_path):
    file = tmp_path / "blue.jpg"
    file.write_bytes(photo("blue"))
    images = [photo("blue"), str(file), file]  # the client itself refuses Pillow's images
    responses = [scores(hub(client).image_classification(image)) for image in images]
    assert next(iter(responses[0])) == "blue"
    assert all(response == responses[0] for response in responses)


@pytest.mark.parametrize("top_k", [1, 2, 3, 99])
def test_top_k(client, photo, top_k):
    response = hub(client).image_classification(photo("red"), top_k=top_k)
    assert len(response) == min(top_k, 3)
    assert response[0].label == "red"


def test_softmax_is_the_default(client, photo):
    without = hub(client).image_classification(photo("red"))
    assert hub(client).image_classification(photo("red"), function_to_apply="softmax") == without


@pytest.mark.parametrize("function", ["sigmoid", "none"])
def test_functions_that_need_logits_are_rejected_with_the_reason(client, photo, function):
    with pytest.raises(HfHubHTTPError, match="not the logits that 'sigmoid' and 'none' require"):
        hub(client).image_classification(photo("red"), function_to_apply=function)


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # inside the client library
def test_the_asynchronous_client(client, photo):
    async def ask():
        caller = AsyncInferenceClient(model=f"{client.base_url}/hf/colours", timeout=20)
        try:
            return await caller.image_classification(photo("green"))
        finally:
            await caller.close()

    assert asyncio.run(ask())[0].label == "green"


def test_health_check(client):
    assert hub(client, provider="hf-inference").health_check() is True
    assert hub(client, "wasps", provider="hf-inference").health_check() is False


def test_a_version_in_the_url(client, photo):
    assert hub(client, "colours?version=1").image_classification(photo("red"))[0].label == "red"
    with pytest.raises(HfHubHTTPError, match="no version 7"):
        hub(client, "colours?version=7").image_classification(photo("red"))


def test_an_unknown_model(client, photo):
    with pytest.raises(HfHubHTTPError, match="no model 'wasps'") as caught:
        hub(client, "wasps").image_classification(photo("red"))
    assert caught.value.response.status_code == 404


@pytest.mark.parametrize("parameters", [{}, {"top_k": 2}], ids=["raw", "json"])
def test_a_broken_image(client, photo, parameters):
    with pytest.raises(HfHubHTTPError, match="JPEG") as caught:
        hub(client).image_classification(photo("red")[:300], **parameters)
    assert caught.value.response.status_code == 422


def test_no_image(client):
    with pytest.raises(HfHubHTTPError, match="name of a file"):
        hub(client).image_classification(b"GET /photo.jpg")


def test_a_full_queue(client, photo, block):
    with block(client) as held:
        held.fill()
        with pytest.raises(HfHubHTTPError, match="images are waiting") as caught:
            hub(client).image_classification(photo("red"))
        held.empty()
    assert caught.value.response.status_code == 429
    assert int(caught.value.response.headers["retry-after"]) >= 1


def test_a_refused_model(make_bundle, serve, photo):
    (make_bundle().folder / "model.onnx").write_bytes(b"x")
    with serve() as client:
        with pytest.raises(HfHubHTTPError, match="'colours' is not ready") as caught:
            hub(client).image_classification(photo("red"))
        assert caught.value.response.status_code == 503
        assert hub(client, provider="hf-inference").health_check() is False


def test_the_token_is_the_key(make_bundle, serve, photo):
    make_bundle()
    with serve(api_key="hush") as client:
        good = hub(client, token="hush")
        assert good.image_classification(photo("red"))[0].label == "red"
        with pytest.raises(HfHubHTTPError, match="key is not known") as caught:
            hub(client, token="other").image_classification(photo("red"))
        assert caught.value.response.status_code == 401
        response = client.post("/hf/colours", content=photo("red"))
        assert list(response.json()) == ["error"]


@pytest.mark.parametrize(
    "content_type", ["image/jpeg", "application/json", "application/x-www-form-urlencoded", None]
)
def test_the_body_alone_decides_between_image_and_json(client, photo, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    document = json.dumps({"inputs": b64(photo("red"))})
    for body in (photo("red"), document, f"\n {document}"):
        response = client.post("/hf/colours", content=body, headers=headers)
        assert response.json()[0]["label"] == "red"


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"inputs": "http://127.0.0.1/photo.jpg"}, "paths and URLs are not read"),
        ({"inputs": "photos/red.jpg"}, "paths and URLs are not read"),
        ({"inputs": "/9j/4AAQ\nSkZJ"}, "without line breaks"),
        ({"inputs": "/9j/4"}, "with padding"),
        ({"inputs": "/9j_4A=="}, "standard base64"),
        ({"inputs": "\ud800"}, "base64"),
        ({"inputs": [1, 2]}, "base64"),
        ({"inputs": None}, "base64"),
        ({"inputs": "aGVsbG8="}, "This is text, not an image"),
        ({}, "holds no image"),
        ([], "holds no image"),
        ("/9j/", "holds no image"),
        ({"inputs": "", "parameters": 3}, "parameters is not an object"),
        ({"inputs": "", "parameters": {"top_k": 0}}, "top_k"),
        ({"inputs": "", "parameters": {"top_k": True}}, "top_k"),
        ({"inputs": "", "parameters": {"top_k": 2.5}}, "top_k"),
        ({"inputs": "", "parameters": {"function_to_apply": ["softmax"]}}, "only be softmax"),
    ],
    ids=str,
)
def test_json_that_cannot_be_used(client, document, word):
    response = client.post("/hf/colours", content=json.dumps(document))
    assert response.status_code == 400
    assert list(response.json()) == ["error"]
    assert word in response.json()["error"]


@pytest.mark.parametrize(
    "body",
    [b"{", b"[" * 9_000, b"{" * 200_000, b'{"inputs": ' + b"9" * 5_000 + b"}", b"{\xff}"],
    ids=["cut", "deep", "deeper", "digits", "no UTF-8"],
)
def test_a_body_that_is_not_json(client, body):
    response = client.post("/hf/colours", content=body)
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]


def test_the_size_limit_applies_to_the_image_inside_base64(make_bundle, serve, photo):
    make_bundle()
    with serve(max_image_bytes=20_000) as client:
        good = {"inputs": b64(photo("red").ljust(20_000, b"\0")), "parameters": {"top_k": 1}}
        assert client.post("/hf/colours", json=good).status_code == 200
        for sent in (
            {"json": {"inputs": b64(photo("red").ljust(20_001, b"\0"))}},
            {"json": {"inputs": b64(photo("red").ljust(30_000, b"\0"))}},
            {"content": photo("red").ljust(20_001, b"\0")},
        ):
            response = client.post("/hf/colours", **sent)
            assert response.status_code == 413
            assert list(response.json()) == ["error"]
        assert client.app.state.service.memory_budget.held_bytes == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/hf/colours", 405),
        ("PUT", "/hf/colours", 405),
        ("POST", "/hf/colours/health", 405),
        ("POST", "/hf/some/model", 404),
        ("GET", "/hf", 404),
        ("POST", "/hf/colours?version=0", 400),
        ("POST", "/hf/colours?version=x", 400),
    ],
)
def test_other_errors_have_the_protocols_shape(client, method, path, status):
    response = client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]


def test_a_compressed_body_is_rejected(client, photo):
    response = client.post(
        "/hf/colours", content=photo("red"), headers={"Content-Encoding": "gzip"}
    )
    assert (response.status_code, list(response.json())) == (415, ["error"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(
    document=json_values
    | st.fixed_dictionaries(
        {"inputs": json_values},
        optional={
            "parameters": json_values
            | st.fixed_dictionaries({"top_k": json_values, "function_to_apply": json_values})
        },
    )
)
def test_no_json_leads_to_a_500(client, document):
    response = client.post("/hf/colours", content=json.dumps(document))
    assert response.status_code in {400, 415, 422}
    assert list(response.json()) == ["error"]


def test_a_data_uri_in_the_json_is_told_apart(client):
    body = {"inputs": "data:image/jpeg;base64,/9j/4AAQ", "parameters": {}}
    response = client.post("/hf/colours", json=body)
    assert response.status_code == 400
    assert response.json() == {
        "error": "inputs is a data URI. Send only the base64 after its comma."
    }
