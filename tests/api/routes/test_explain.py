"""POST /api/v1/explain and /api/v1/activations."""

import base64
import io
import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

EXPLAIN = "/api/v1/explain"
ACTIVATIONS = "/api/v1/activations"
SOBEL = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
PNG = {"Accept": "image/png"}


@pytest.fixture
def cat(imagenet):
    return (imagenet / "golden/chelsea.jpg").read_bytes()


def open_png(response):
    assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
    return Image.open(io.BytesIO(response.content))


def test_probabilities_follow_from_the_maps(imagenet_client, cat):
    expected = {
        p["label"]: p["probability"]
        for p in imagenet_client.post("/api/v1/classify", content=cat).json()["predictions"]
    }
    explanations = [
        imagenet_client.post(EXPLAIN, params={"label": label}, content=cat).json()
        for label in expected
    ]
    assert {f["label"]: f["probability"] for f in explanations} == expected
    assert {f["method"] for f in explanations} == {"class_activation_map"}
    scores = [(np.mean(f["map"]) + f["bias"]) / f["temperature"] for f in explanations]
    # softmax: the ratio of two probabilities is that of the exponentials of their scores
    for score, explanation in zip(scores, explanations, strict=True):
        expected_probability = explanations[0]["probability"] * math.exp(score - scores[0])
        assert explanation["probability"] == pytest.approx(expected_probability, abs=1e-5)


def test_without_a_label_the_most_probable_is_explained(imagenet_client, cat):
    body = imagenet_client.post(EXPLAIN, content=cat).json()
    assert list(body) == [
        "model",
        "version",
        "label",
        "index",
        "probability",
        "method",
        "map",
        "bias",
        "temperature",
        "box",
        "image",
    ]
    assert (body["label"], body["index"]) == ("Egyptian cat", 285)
    assert np.array(body["map"]).shape == (8, 8)
    assert body["box"] == {"left": 75.5, "top": 0, "width": 300, "height": 300}
    assert body["image"] == {"format": "jpeg", "width": 451, "height": 300, "crop": None}


@pytest.mark.parametrize(
    "accept",
    ["image/png", "image/*", "image/png, application/json;q=0.5", "image/avif,image/*,*/*"],
)
def test_an_accept_header_that_prefers_a_picture_gets_the_overlay(imagenet_client, cat, accept):
    response = imagenet_client.post(EXPLAIN, content=cat, headers={"Accept": accept})
    assert open_png(response).size == (480, 480)
    assert response.headers["vary"] == "Accept"


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "application/json, image/png;q=0.5", "text/html", "x;q=y"]
)
def test_any_other_accept_header_gets_json(textbook_client, photo, accept):
    response = textbook_client.post(EXPLAIN, content=photo("red"), headers={"Accept": accept})
    assert response.headers["content-type"] == "application/json"
    assert response.json()["label"] == "red"


def test_two_labels_have_different_overlays(imagenet_client, cat):
    overlays = [
        open_png(
            imagenet_client.post(EXPLAIN, params={"label": name}, content=cat, headers=PNG)
        ).tobytes()
        for name in ("lynx", "window screen")
    ]
    assert overlays[0] != overlays[1]


def test_a_model_without_a_pooled_head_names_occlusion(textbook_client, photo):
    body = textbook_client.post(EXPLAIN, params={"label": "green"}, content=photo("green")).json()
    assert (body["method"], body["bias"], body["temperature"]) == ("occlusion", None, None)
    assert np.array(body["map"]).min() > 0  # the whole photo is green


@pytest.mark.parametrize("path", [EXPLAIN, ACTIVATIONS])
def test_a_request_with_two_photos_is_rejected(textbook_client, photo, path):
    two = [("file", ("a.jpg", photo("red"))), ("file", ("b.jpg", photo("red")))]
    response = textbook_client.post(path, files=two)
    assert (response.status_code, response.json()["code"]) == (413, "too_many_files")
    assert textbook_client.post(path, files=two[:1]).status_code == 200


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        (EXPLAIN, {"label": "purple"}, 404, "not_in_model"),
        (EXPLAIN, {"label": "9" * 5000}, 404, "not_in_model"),
        (EXPLAIN, {"model": "wasps"}, 404, "unknown_model"),
        (EXPLAIN, {"version": 7}, 404, "unknown_model"),
        (ACTIVATIONS, {"layer": "conv9"}, 404, "not_in_model"),
        (ACTIVATIONS, {"model": "colours"}, 404, "not_in_model"),
        (ACTIVATIONS, {"top": 0}, 400, "bad_parameter"),
        (ACTIVATIONS, {"kernel": "[[1],[2,3]]"}, 400, "bad_parameter"),
        (ACTIVATIONS, {"kernel": "[[1]]", "layer": "conv1"}, 400, "bad_parameter"),
        (ACTIVATIONS, {"kernel": "[[1]]", "top": 3}, 400, "bad_parameter"),
        (ACTIVATIONS, {"layer": "canvas", "values": True}, 400, "bad_parameter"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_impossible_request_is_rejected(textbook_client, photo, path, params, status, code):
    response = textbook_client.post(path, params=params, content=photo("red"))
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", [EXPLAIN, ACTIVATIONS, "/api/v1/embed"])
@pytest.mark.parametrize(
    ("content", "status"), [(b"text", 400), (b"8BPS\0\1", 415), (b"\xff\xd8\xff\xe0", 422)]
)
def test_a_file_that_is_no_photo_is_a_problem(imagenet_client, path, content, status):
    assert imagenet_client.post(path, content=content).status_code == status


@pytest.mark.parametrize("path", [EXPLAIN, ACTIVATIONS, "/api/v1/embed"])
def test_a_full_queue_rejects_before_the_body_is_read(
    make_bundle, textbook, serve, block, connect, path
):
    make_bundle(name="textbook", graph=textbook)
    with serve() as client, block(client) as blocked:
        blocked.fill()
        raw = connect(client)
        raw.send(f"POST {path} HTTP/1.1", "Content-Length: 1000000")
        status, headers, body = raw.read_response()
        if path.endswith("embed"):  # which this model does not support
            assert body["code"] in ("queue_full", "not_in_model")
        else:
            assert (status, body["code"]) == (429, "queue_full")
            assert int(headers["retry-after"]) >= 1


def test_all_work_is_done_on_the_engines_threads(textbook_client, photo, block):
    with block(textbook_client) as blocked, ThreadPoolExecutor(2) as clients:
        pending = [
            clients.submit(textbook_client.post, path, content=photo("red"))
            for path in (EXPLAIN, ACTIVATIONS)
        ]
        assert textbook_client.get("/livez").status_code == 200
        assert not any(future.done() for future in pending)
        blocked.release()
        assert [future.result().status_code for future in pending] == [200, 200]


def test_the_maps_of_the_first_layer_with_their_statistics(textbook_client, photo):
    response = textbook_client.post(ACTIVATIONS, content=photo("green"))
    body = response.json()
    assert (body["layer"], body["op"], body["shape"]) == ("conv1", "Relu", [6, 28, 28])
    assert [c["channel"] for c in body["channels"]] == list(range(6))
    green = body["channels"][1]
    assert green["mean"] == pytest.approx(0.8, abs=0.05)
    assert green["active"] == 1
    assert body["channels"][0]["active"] < 0.1
    assert body["scale"]["low"] == 0
    assert body["values"] is None
    grid, picture = body["grid"], Image.open(io.BytesIO(base64.b64decode(body["png"])))
    width = grid["gap"] + grid["columns"] * (grid["tile_width"] + grid["gap"])
    assert picture.size[0] == width
    shown = open_png(textbook_client.post(ACTIVATIONS, content=photo("green"), headers=PNG))
    assert shown.convert("RGBA").tobytes() == picture.convert("RGBA").tobytes()
    timing = response.headers["server-timing"]
    assert [part.split(";")[0] for part in timing.split(", ")] == [
        "queue",
        "decode",
        "resize",
        "run",
        "total",
    ]


def test_top_limits_the_maps_and_values_adds_their_numbers(textbook_client, photo):
    params = {"layer": "conv2", "top": 2, "values": True}
    body = textbook_client.post(ACTIVATIONS, params=params, content=photo("blue")).json()
    values = np.array(body["values"])
    assert values.shape == (2, 10, 10)
    assert body["shape"] == [8, 10, 10]
    assert body["channels"][0]["channel"] == 2
    assert values[0].mean() == pytest.approx(body["channels"][0]["mean"], abs=1e-5)
    row, column = body["channels"][0]["strongest"]
    assert values[0, row, column] == body["channels"][0]["max"]


def test_a_vector_always_has_its_values(textbook_client, photo):
    body = textbook_client.post(
        ACTIVATIONS, params={"layer": "probabilities"}, content=photo("red")
    ).json()
    expected = textbook_client.post("/api/v1/classify", content=photo("red")).json()["predictions"]
    assert body["shape"] == [3]
    assert max(body["values"]) == pytest.approx(expected[0]["probability"], abs=1e-5)
    assert body["channels"][0]["strongest"] is None


def test_a_kernel_in_the_query_and_as_a_field_gives_the_same_map(textbook_client, imagenet):
    coffee = (imagenet / "golden/coffee.jpg").read_bytes()
    text = json.dumps(SOBEL)
    queried = textbook_client.post(ACTIVATIONS, params={"kernel": text}, content=coffee).json()
    posted = textbook_client.post(
        ACTIVATIONS, data={"kernel": text}, files={"file": ("a.jpg", coffee)}
    ).json()
    assert posted == queried
    assert (posted["layer"], posted["shape"]) == ("kernel", [1, 478, 478])
    assert posted["scale"]["low"] == -posted["scale"]["high"]
    numbers = textbook_client.post(
        ACTIVATIONS, params={"kernel": text, "values": True}, content=coffee
    ).json()["values"]
    row, column = posted["channels"][0]["strongest"]
    assert numbers[0][row][column] == posted["channels"][0]["max"]


def test_an_empty_kernel_is_ignored(textbook_client, photo):
    file = {"file": ("a.jpg", photo("red"))}
    empty = textbook_client.post(ACTIVATIONS, data={"kernel": ""}, files=file)
    assert empty.json()["layer"] == "conv1"


def test_the_canvas_is_a_layer_too(textbook_client, photo):
    response = textbook_client.post(
        ACTIVATIONS, params={"layer": "canvas"}, content=photo((10, 20, 30)), headers=PNG
    )
    assert open_png(response).getpixel((5, 5)) == pytest.approx((10, 20, 30), abs=2)


def test_explanations_are_counted_like_classifications(textbook_client, photo):
    textbook_client.post(EXPLAIN, content=photo("red"))
    text = textbook_client.get("/metrics").text
    assert 'route="/api/v1/explain"' in text
    assert 'hubel_images_total{model="textbook",version="1"}' in text


def test_the_inspector_releases_an_unloaded_model(make_bundle, textbook, serve, photo, until):
    make_bundle(name="textbook", graph=textbook)
    boss = {"Authorization": "Bearer boss"}
    with serve(admin_key="boss") as client:
        client.post(ACTIVATIONS, content=photo("red"))
        inspector = client.app.state.service.inspector
        assert len(inspector) == 1
        client.post("/api/v1/models/textbook/unload", headers=boss)
        until(lambda: len(inspector) == 0)
        client.post("/api/v1/models/textbook/reload", headers=boss)
        assert client.post(EXPLAIN, content=photo("red")).json()["label"] == "red"
