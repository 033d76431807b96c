"""POST /api/v1/classify: every way to send images, and each client gets its own results."""

import asyncio
import io
import json
import random
import re
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.api.inference import write_response

CLASSIFY = "/api/v1/classify"
COLOURS = ("red", "green", "blue")


def files(*contents):
    return [("file", (f"{i}.jpg", content)) for i, content in enumerate(contents)]


def label(result):
    return result["predictions"][0]["label"]


@pytest.mark.parametrize(
    "content_type",
    [
        "image/jpeg",
        "image/png",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "application/json",
        "text/plain; charset=utf-8",
        "multipart/mixed; boundary=x",
        "nonsense",
        "",
        None,
    ],
)
def test_a_raw_image_is_read_under_any_content_type(client, photo, content_type):
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = client.post(CLASSIFY, content=photo("green"), headers=headers)
    assert response.status_code == 200
    assert label(response.json()) == "green"


def test_the_response_has_all_documented_fields(client, photo):
    response = client.post(CLASSIFY, content=photo("red", (600, 400)))
    body = response.json()
    assert response.headers["content-type"] == "application/json"
    assert list(body) == [
        "model",
        "version",
        "predictions",
        "decision",
        "familiarity",
        "unknown_score",
        "unknown_threshold",
        "image",
    ]
    assert (body["model"], body["version"], body["decision"]) == ("colours", 1, None)
    assert body["image"] == {"format": "jpeg", "width": 600, "height": 400, "crop": None}
    assert [list(p) for p in body["predictions"]] == [["label", "index", "probability"]] * 3
    assert sum(p["probability"] for p in body["predictions"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_the_format_is_detected_from_the_content(client, format):
    file = io.BytesIO()
    Image.new("RGB", (50, 40), "blue").save(file, format)
    body = client.post(
        CLASSIFY, content=file.getvalue(), headers={"Content-Type": "image/jpeg"}
    ).json()
    assert label(body) == "blue"
    assert body["image"]["format"] == format.lower()


def test_a_body_in_chunks_is_read(client, photo):
    data = photo("red")

    def chunks():
        for start in range(0, len(data), 100):
            yield data[start : start + 100]

    assert label(client.post(CLASSIFY, content=chunks()).json()) == "red"


def test_one_multipart_file_gets_the_response_of_a_raw_image(client, photo):
    raw = client.post(CLASSIFY, content=photo("red")).json()
    assert client.post(CLASSIFY, files=files(photo("red"))).json() == raw


@pytest.mark.parametrize("as_multipart", [True, False])
def test_one_image_with_batch_gets_a_batch(client, photo, as_multipart):
    sent = {"files": files(photo("red"))} if as_multipart else {"content": photo("red")}
    body = client.post(CLASSIFY, params={"batch": True}, **sent).json()
    assert [label(r) for r in body["results"]] == ["red"]


def test_the_results_of_a_batch_are_in_the_order_of_the_request(client, photo):
    expected = ["blue", "red", "red", "green", "blue", "green", "red"]
    body = client.post(CLASSIFY, files=files(*map(photo, expected))).json()
    assert [label(r) for r in body["results"]] == expected


def test_the_names_of_files_are_ignored(client, photo):
    response = client.post(
        CLASSIFY,
        files=[("image", ("a.jpg", photo("red"))), ("x[]", ("b", photo("blue")))],
    )
    assert [label(r) for r in response.json()["results"]] == ["red", "blue"]


def test_a_bad_file_in_a_batch_fails_alone_with_its_own_problem(client, photo):
    contents = [photo("red"), b"text", photo("red")[:300], b"", b"8BPS\0\1", photo("blue")]
    response = client.post(CLASSIFY, files=files(*contents))
    assert response.status_code == 200
    results = response.json()["results"]
    assert (label(results[0]), label(results[5])) == ("red", "blue")
    problems = [r["problem"] for r in results[1:5]]
    assert [(p["status"], p["code"]) for p in problems] == [
        (400, "not_an_image"),
        (422, "broken_image"),
        (400, "not_an_image"),
        (415, "unsupported_format"),
    ]
    assert {p["request_id"] for p in problems} == {response.headers["x-request-id"]}


def test_one_bad_multipart_file_is_a_problem_of_the_request(client):
    response = client.post(CLASSIFY, files=files(b"text"))
    assert (response.status_code, response.json()["code"]) == (400, "not_an_image")


def test_one_bad_file_with_batch_fails_alone(client):
    response = client.post(CLASSIFY, params={"batch": True}, files=files(b"text"))
    assert response.status_code == 200
    assert response.json()["results"][0]["problem"]["code"] == "not_an_image"


@pytest.mark.parametrize(("top_k", "count"), [(1, 1), (2, 2), (3, 3), (1000, 3)])
def test_top_k_limits_the_predictions(client, photo, top_k, count):
    body = client.post(CLASSIFY, params={"top_k": top_k}, content=photo("red")).json()
    assert len(body["predictions"]) == count


def test_min_probability_limits_the_predictions(client, photo):
    body = client.post(CLASSIFY, params={"min_probability": 0.5}, content=photo("red")).json()
    assert [p["label"] for p in body["predictions"]] == ["red"]


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"top_k": 0}, "top_k"),
        ({"top_k": "many"}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"min_probability": -0.1}, "min_probability"),
        ({"min_probability": 1.1}, "min_probability"),
        ({"min_probability": "nan"}, "min_probability"),
        ({"version": 0}, "version"),
        ({"version": "latest"}, "version"),
        ({"batch": "perhaps"}, "batch"),
    ],
    ids=str,
)
def test_an_invalid_parameter_is_rejected_by_name(client, photo, params, name):
    response = client.post(CLASSIFY, params=params, content=photo("red"))
    assert (response.status_code, response.json()["code"]) == (400, "bad_parameter")
    assert f"The query {name} is invalid: " in response.json()["detail"]


def test_model_and_version_select_the_model(make_bundle, serve, photo, tmp_path):
    models = tmp_path / "models"
    make_bundle(models, "colours", 1, folder=models / "colours/1")
    make_bundle(models, "colours", 2, folder=models / "colours/2")
    make_bundle(models, "french", labels=("rouge", "vert", "bleu"))

    def classify(**params):
        body = client.post(CLASSIFY, params=params, content=photo("red")).json()
        return body["model"], body["version"], label(body)

    with serve(default_model="colours") as client:
        assert classify() == ("colours", 2, "red")
        assert classify(version=1) == ("colours", 1, "red")
        assert classify(model="french") == ("french", 1, "rouge")
        assert classify(model="french", version=1) == ("french", 1, "rouge")


@pytest.mark.parametrize("request_id", ["abc", "a" * 128, "9f.A_b:c/d+e=f-g"])
def test_a_valid_request_id_is_kept(client, photo, request_id):
    response = client.post(CLASSIFY, content=photo("red"), headers={"X-Request-ID": request_id})
    assert response.headers["x-request-id"] == request_id


@pytest.mark.parametrize("request_id", ["", "a b", "a" * 129, "{}", 'x"y', "ä"])
def test_an_invalid_request_id_is_replaced(client, request_id):
    response = client.get("/livez", headers={"X-Request-ID": request_id.encode("latin-1")})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


def test_every_request_has_an_id_of_its_own(client):
    ids = {client.get("/livez").headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


@pytest.mark.parametrize("count", [1, 3])
def test_server_timing_has_the_stages(client, photo, count):
    response = client.post(CLASSIFY, files=files(*[photo("red")] * count))
    parts = dict(part.split(";dur=") for part in response.headers["server-timing"].split(", "))
    assert list(parts) == ["queue", "decode", "resize", "run", "total"]
    assert all(float(ms) >= 0 for ms in parts.values())
    assert float(parts["decode"]) > 0


def test_a_post_from_urllib_is_classified(client, photo):
    """urllib sends a form's content type, as curl --data-binary does."""
    with urllib.request.urlopen(f"{client.base_url}{CLASSIFY}", data=photo("blue")) as response:
        assert label(json.load(response)) == "blue"


def test_sixteen_clients_at_once_each_get_their_own_results(client, photo):
    def classify(seed):
        rng = random.Random(seed)
        for _ in range(6):
            expected = [rng.choice(COLOURS) for _ in range(rng.randint(1, 4))]
            sent = (
                {"content": photo(expected[0])}
                if len(expected) == 1
                else {"files": files(*map(photo, expected))}
            )
            body = client.post(CLASSIFY, **sent).json()
            assert [label(r) for r in body.get("results", [body])] == expected
        return True

    with ThreadPoolExecutor(16) as clients:
        assert all(clients.map(classify, range(16)))


@settings(max_examples=15, deadline=None)
@given(
    colours=st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=5),
)
def test_a_batched_result_equals_the_single_result(client, photo, colours):
    photos = [photo(colour, (64, 64)) for colour in colours]
    batch = client.post(CLASSIFY, params={"batch": True}, files=files(*photos)).json()["results"]
    single = [client.post(CLASSIFY, content=data).json() for data in photos]
    assert batch == single


@pytest.mark.parametrize(("numbers", "is_here"), [(5, True), (200, True), (201, False)])
def test_only_a_short_response_is_written_on_the_event_loop(numbers, is_here):
    thread = asyncio.run(write_response(threading.get_ident, numbers))
    assert (thread == threading.get_ident()) is is_here
