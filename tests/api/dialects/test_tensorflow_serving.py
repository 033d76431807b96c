"""TensorFlow Serving's protocol: the bodies of its documentation and its example client."""

import base64
import io
import json
import statistics
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

GOLDEN = ("chelsea", "rocket", "coffee", "camera")
PREDICT = "/v1/models/colours:predict"
CLASSIFY = "/v1/models/colours:classify"
COLOURS = ("red", "green", "blue")


def b64(data):
    return {"b64": base64.b64encode(data).decode()}


def pixels(data, side=480):
    return np.asarray(Image.open(io.BytesIO(data)).resize((side, side))).tolist()


def check(response, status, *words):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    for text in words:
        assert text in response.json()["error"]


def best(rows):
    return [COLOURS[int(np.argmax(row))] for row in rows]


def test_the_example_client_of_the_documentation(imagenet_client, golden, own):
    """Send the body of resnet_client.py, with the content types of curl and requests."""
    jpeg_bytes = base64.b64encode(golden("chelsea")).decode("utf-8")
    body = '{"instances" : [{"b64": "%s"}]}' % jpeg_bytes  # noqa: UP031
    for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
        response = imagenet_client.post(
            "/v1/models/imagenet:predict", content=body, headers=headers
        )
        (row,) = response.json()["predictions"]
        assert len(row) == 1000
        assert sum(row) == pytest.approx(1, abs=1e-4)
    names = imagenet_client.get("/api/v1/models/imagenet").json()["label_names"]
    expected = own(imagenet_client, golden("chelsea"), 1000)
    assert dict(zip(names, row, strict=True)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", GOLDEN)
def test_classify_equals_our_own_api(imagenet_client, golden, own, name):
    body = {"signature_name": "classify", "examples": [{"image": b64(golden(name))}]}
    response = imagenet_client.post("/v1/models/imagenet:classify", json=body)
    (pairs,) = response.json()["results"]
    expected = own(imagenet_client, golden(name), 1000)
    assert [label for label, _ in pairs[:5]] == list(expected)[:5]
    assert dict(pairs) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("member", ["instances", "inputs"])
def test_a_canvas_in_lists_gets_the_predictions_of_its_file(imagenet_client, golden, member):
    """A 480 x 480 photo without rotation is its own canvas."""
    path = "/v1/models/imagenet:predict"
    by_file = imagenet_client.post(path, json={member: [b64(golden("rocket"))]}).json()
    by_lists = imagenet_client.post(path, json={member: [pixels(golden("rocket"))]}).json()
    (key,) = by_file
    np.testing.assert_allclose(by_lists[key], by_file[key], atol=1e-6)


@pytest.mark.parametrize(
    ("make", "member"),
    [
        (lambda r, g: {"instances": [b64(r), b64(g)]}, "predictions"),
        (lambda r, g: {"instances": [{"image_bytes": b64(r)}, {"x": b64(g)}]}, "predictions"),
        (lambda r, g: {"instances": [[b64(r)], {"x": [b64(g)]}]}, "predictions"),
        (lambda r, g: {"instances": [pixels(r), {"x": pixels(g, 32)}]}, "predictions"),
        (
            lambda r, g: {"instances": (np.array([pixels(r, 32), pixels(g, 32)]) * 1.0).tolist()},
            "predictions",
        ),
        (lambda r, g: {"inputs": {"image_bytes": [b64(r), b64(g)]}}, "outputs"),
        (lambda r, g: {"inputs": [b64(r), b64(g)]}, "outputs"),
        (lambda r, g: {"inputs": {"image": [pixels(r, 32), pixels(g, 32)]}}, "outputs"),
        (
            lambda r, g: {"signature_name": "serving_default", "inputs": [b64(r), pixels(g)]},
            "outputs",
        ),
    ],
    ids=["b64", "named", "lists", "pixels", "floats", "columns", "column", "pixel columns", "both"],
)
def test_every_form_of_predict(client, photo, make, member):
    response = client.post(PREDICT, json=make(photo("red"), photo("green")))
    assert response.status_code == 200
    assert list(response.json()) == [member]
    assert best(response.json()[member]) == ["red", "green"]


@pytest.mark.parametrize("inputs", [b64, lambda data: {"x": b64(data)}, lambda d: pixels(d, 32)])
def test_one_input_alone_is_a_column_of_one(client, photo, inputs):
    response = client.post(PREDICT, json={"inputs": inputs(photo("blue"))})
    assert best(response.json()["outputs"]) == ["blue"]


def test_a_classification_request_with_other_features(client, photo):
    body = {
        "signature_name": "classify_objects",
        "context": {"season": "summer"},
        "examples": [
            {"image": b64(photo("red")), "caption": "seaside"},
            {"image": [b64(photo("blue"))], "caption": ["mountains"]},
            b64(photo("green")),
        ],
    }
    results = client.post(CLASSIFY, json=body).json()["results"]
    assert [pairs[0][0] for pairs in results] == ["red", "blue", "green"]
    assert all(len(pairs) == 3 for pairs in results)


def test_lists_spread_over_lines(client, photo):
    text = json.dumps({"instances": [pixels(photo("red"), 32)]}, indent=1)
    assert best(client.post(PREDICT, content=text).json()["predictions"]) == ["red"]


@pytest.mark.parametrize("verb", ["predict", "classify"])
def test_a_version(client, photo, verb):
    member = {"predict": "instances", "classify": "examples"}[verb]
    body = {member: [b64(photo("red"))]}
    path = f"/v1/models/colours/versions/{{}}:{verb}"
    assert client.post(path.format(1), json=body).status_code == 200
    check(client.post(path.format(2), json=body), 404, "no version 2")
    check(client.post(path.format("x"), json=body), 400, "version")
    check(client.post(path.format(0), json=body), 400, "version")


def test_status(client):
    ok = {"error_code": "OK", "error_message": ""}
    expected = {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": ok}]}
    assert client.get("/v1/models/colours").json() == expected
    assert client.get("/v1/models/colours/versions/1").json() == expected
    check(client.get("/v1/models/wasps"), 404, "Known models: colours")
    check(client.get("/v1/models/colours/versions/3"), 404, "no version 3")


def test_status_of_refused_versions(make_bundle, serve, tmp_path):
    below = tmp_path / "models/colours"
    make_bundle(folder=below / "1", version=1)
    (make_bundle(folder=below / "2", version=2).folder / "model.onnx").write_bytes(b"x")
    (make_bundle(folder=below / "3", version=3).folder / "bundle.json").write_text("{")
    with serve() as client:
        statuses = client.get("/v1/models/colours").json()["model_version_status"]
        states = {status["version"]: status["state"] for status in statuses}
        assert states == {"2": "END", "1": "AVAILABLE", "0": "END"}
        (second,) = client.get("/v1/models/colours/versions/2").json()["model_version_status"]
        assert "model.onnx" in second["status"]["error_message"]
        body = {"instances": [b64(b"")]}
        check(client.post("/v1/models/colours/versions/2:predict", json=body), 503, "is not ready")
        check(client.get("/v1/models/colours/versions/2/metadata"), 503)


def test_metadata(client):
    metadata = client.get("/v1/models/colours/metadata").json()
    assert metadata == client.get("/v1/models/colours/versions/1/metadata").json()
    assert metadata["model_spec"] == {"name": "colours", "signature_name": "", "version": "1"}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    default = signatures["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict"
    assert default["inputs"]["image_bytes"] == {
        "dtype": "DT_STRING",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
        "name": "image_bytes",
    }
    shapes = {
        name: [dim["size"] for dim in tensor["tensor_shape"]["dim"]]
        for signature in signatures.values()
        for name, tensor in {**signature["inputs"], **signature["outputs"]}.items()
    }
    assert shapes["image"] == ["-1", "32", "32", "3"]
    assert shapes["probabilities"] == shapes["scores"] == ["-1", "3"]


def test_one_bad_image_fails_the_request(client, photo):
    good = b64(photo("red"))
    check(client.post(PREDICT, json={"instances": [good, b64(photo("red")[:300])]}), 422, "JPEG")
    check(client.post(PREDICT, json={"instances": [good, b64(b"8BPS\0\1" + bytes(99))]}), 415)
    check(client.post(CLASSIFY, json={"examples": [good, b64(b"text")]}), 400, "This is text")


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (PREDICT, {}, '"instances"'),
        (PREDICT, {"instances": [], "inputs": []}, "not both"),
        (PREDICT, [], "JSON object"),
        (PREDICT, {"instances": []}, "one image or more"),
        (PREDICT, {"instances": b64(b"")}, "must be a list"),
        (PREDICT, {"instances": ["aGVsbG8="]}, "instances[0] is not an image"),
        (PREDICT, {"instances": [{"b64": "?"}]}, "instances[0].b64 is not base64"),
        (PREDICT, {"instances": [{"b64": 3}]}, "instances[0].b64 is not base64"),
        (PREDICT, {"instances": [{"a": {"b64": ""}, "b": 3}]}, "2 inputs"),
        (PREDICT, {"instances": [{}]}, "0 inputs"),
        (PREDICT, {"instances": [[1.0, 2.0]]}, "32 x 32 x 3 or 480 x 480 x 3"),
        (PREDICT, {"instances": [np.zeros((31, 32, 3), int).tolist()]}, "32 x 32 x 3"),
        (PREDICT, {"instances": [np.zeros((32, 32, 4), int).tolist()]}, "32 x 32 x 3"),
        (PREDICT, {"instances": np.zeros((99, 99, 3), int).tolist()}, "10000 values"),
        (PREDICT, {"instances": [np.full((32, 32, 3), 0.5).tolist()]}, "whole numbers"),
        (PREDICT, {"instances": [np.full((32, 32, 3), -1).tolist()]}, "whole numbers"),
        (PREDICT, {"instances": [np.full((32, 32, 3), 256).tolist()]}, "whole numbers"),
        (PREDICT, {"instances": [np.full((32, 32, 3), 10**400).tolist()]}, "whole numbers"),
        (PREDICT, {"instances": [[[[None] * 3] * 32] * 32]}, "is not an image"),
        (PREDICT, {"inputs": {"a": [], "b": []}}, "2 inputs"),
        (PREDICT, {"inputs": None}, "inputs[0] is not an image"),
        (PREDICT, {"inputs": [{"extracted array": 0}]}, "inputs[0] is not an image"),
        (PREDICT, {"signature_name": 1, "inputs": []}, "signature_name"),
        (CLASSIFY, {"instances": []}, '"examples"'),
        (CLASSIFY, {"examples": ["x"]}, "examples[0] is not an object"),
        (CLASSIFY, {"examples": [{"caption": "x"}]}, "has 0 images"),
        (CLASSIFY, {"examples": [{"a": b64(b""), "b": b64(b"")}]}, "has 2 images"),
    ],
    ids=range(27),
)
def test_bodies_that_cannot_be_used(client, path, body, words):
    check(client.post(path, json=body), 400, words)


@pytest.mark.parametrize(
    "numbers",
    ["[,,]", "[1,,2]", "[1 2,3,4]", "[1e,2,3]", "[01,2,3]", "[-,2,3]", "[1,2,1e999]"],
)
def test_lists_in_an_images_shape_without_all_numbers_are_rejected(client, numbers):
    row = ",".join([numbers] * 32)
    body = '{"instances": [[' + ",".join([f"[{row}]"] * 32) + "]]}"
    check(client.post(PREDICT, content=body), 400, "whole numbers")


def test_a_number_that_is_missing_behind_much_white_space_is_rejected(client):
    """White space beyond a window of text is read apart from the last comma before it."""
    body = json.dumps({"instances": np.zeros((1, 32, 32, 3), int).tolist()})
    assert body.endswith(", 0]]]]}")
    body = body.removesuffix("0]]]]}") + " " * 200_000 + "]]]]}"
    check(client.post(PREDICT, content=body), 400, "whole numbers")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"instances": [[[[1,2', b"[" * 9_999, b"\xff\xfe", b'{"instances": [[[1]]]]}'],
)
def test_a_body_that_is_not_json(client, body):
    check(client.post(PREDICT, content=body), 400, "JSON")


def test_limits(make_bundle, serve, photo):
    make_bundle()
    data = photo("red")
    with serve(max_files=2, max_image_bytes=20_000, max_body_bytes=40_000) as client:
        check(client.post(PREDICT, json={"instances": [b64(data)] * 3}), 413, "3 images")
        check(client.post(PREDICT, json={"inputs": [b64(data)] * 3}), 413, "3 images")
        check(client.post(CLASSIFY, json={"examples": [b64(data)] * 3}), 413, "3 images")
        long = [b64(data.ljust(20_001, b"\0"))]
        check(client.post(PREDICT, json={"instances": long}), 413, "20,000")
        check(client.post(PREDICT, content=bytes(40_001)), 413, "40000")
        assert client.app.state.service.memory_budget.held_bytes == 0


def test_reading_json_reserves_memory(make_bundle, serve, photo):
    make_bundle()
    body = {"instances": [b64(photo("red").ljust(15_000, b"\0"))]}  # 20,000 bytes of text
    with serve(max_buffered_bytes=50_000) as client:
        check(client.post(PREDICT, json=body), 413, "Send fewer images at once")
    with serve(max_buffered_bytes=70_000) as client:
        assert client.post(PREDICT, json=body).status_code == 200
        bodies = client.app.state.service.body_budget
        assert bodies.try_take(30_000)
        check(client.post(PREDICT, json=body), 429, "hold")
        bodies.give_back(30_000)


def test_a_full_queue(client, photo, block):
    with block(client) as held:
        held.fill()
        response = client.post(PREDICT, json={"instances": [b64(photo("red"))]})
        held.empty()
    check(response, 429, "waiting")
    assert int(response.headers["retry-after"]) >= 1


def test_a_key_is_required(make_bundle, serve, photo):
    make_bundle()
    with serve(api_key="hush") as client:
        body = {"instances": [b64(photo("red"))]}
        check(client.post(PREDICT, json=body), 401, "key")
        for path in ("", "/metadata", "/versions/1", "/versions/1/metadata"):
            check(client.get(f"/v1/models/colours{path}"), 401, "key")
        response = client.post(PREDICT, json=body, headers={"X-API-Key": "hush"})
        assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PREDICT, 405),
        ("GET", CLASSIFY, 405),
        ("GET", "/v1/models/colours/versions/1:predict", 405),
        ("GET", "/v1/models/colours/versions/x", 400),
        ("POST", "/v1/models/colours", 405),
        ("POST", "/v1/models/colours:regress", 405),
        ("POST", "/v1/models/colours/metadata", 405),
        ("POST", "/v1/models/wasps:predict", 404),
        ("GET", "/v1/models", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/models/colours/labels/stable", 404),
    ],
)
def test_other_errors_have_the_protocols_shape(client, method, path, status):
    response = client.request(method, path)
    check(response, status)
    assert "allow" in response.headers or status != 405


def test_the_event_loop_runs_while_lists_are_read(client, photo):
    """A probe during a request of three canvases takes much less time than the request."""
    body = json.dumps({"instances": [pixels(photo("red"))] * 3})
    shares = [_probe_share(client, body) for _ in range(3)]  # other programs may disturb one
    assert min(shares) < 1 / 4


def _probe_share(client, body):
    """Return the time of a probe beside a request of red canvases, as a share of the request's."""
    done = threading.Event()
    waits = []

    def probe():
        while not done.is_set():
            began = time.perf_counter()
            client.get("/livez")
            waits.append(time.perf_counter() - began)

    thread = threading.Thread(target=probe)
    thread.start()
    began = time.perf_counter()
    response = client.post(PREDICT, content=body)
    took = time.perf_counter() - began
    done.set()
    thread.join()
    assert best(response.json()["predictions"]) == ["red"] * 3
    return statistics.median(waits) / took


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.fixed_dictionaries({"b64": st.text("AQz9+/=", max_size=12)}),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["b64", "a", "extracted array"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=120, deadline=None)
@given(
    path=st.sampled_from([PREDICT, CLASSIFY]),
    body=json_values
    | st.dictionaries(
        st.sampled_from(["instances", "inputs", "examples", "signature_name"]), json_values
    ),
)
def test_no_json_leads_to_a_500(client, path, body):
    response = client.post(path, content=json.dumps(body))
    assert response.status_code in {400, 413, 415, 422}
    assert list(response.json()) == ["error"]
