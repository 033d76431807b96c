"""A model's NaN over HTTP: 500 with its own code in every protocol, counted, and never `NaN`."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

MESSAGE = "Model 'colours' version 1 returned NaN or infinity as 'probabilities'"


def _png(rgb):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), rgb).save(file, "PNG")
    return file.getvalue()


WHITE, RED = _png((255, 255, 255)), _png((230, 20, 20))
BASE64 = base64.b64encode(WHITE).decode()


@pytest.fixture
def nan_client(make_bundle, contrast, serve):
    make_bundle(graph=contrast(["probabilities", "embedding"]))
    with serve() as client:
        yield client


def _v2(data, **more):
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [data]}
    return {"json": {"inputs": [tensor], **more}}


_TWO = {"files": [("file", ("a.png", RED)), ("file", ("b.png", WHITE))]}
_CLASSES = {"outputs": [{"name": "probabilities", "parameters": {"classification": 2}}]}
_CANVAS = np.full((1, 480, 480, 3), 255).tolist()


@pytest.mark.parametrize(
    ("path", "request_body", "key"),
    [
        ("/api/v1/classify", {"content": WHITE}, "detail"),
        ("/api/v1/classify?min_probability=0.1", {"content": WHITE}, "detail"),
        ("/api/v1/explain", {"content": WHITE}, "detail"),
        ("/v2/models/colours/infer", _v2(BASE64), "error"),
        ("/v2/models/colours/infer", _v2(BASE64, **_CLASSES), "error"),
        ("/hf/colours", {"content": WHITE}, "error"),
        ("/hf/colours", {"json": {"inputs": BASE64, "parameters": {"top_k": 2}}}, "error"),
        ("/predictions/colours", {"content": WHITE}, "message"),
        ("/predictions/colours/1.0", {"files": {"data": WHITE}}, "message"),
        ("/v1/models/colours:predict", {"json": {"instances": [{"b64": BASE64}]}}, "error"),
        ("/v1/models/colours:predict", {"json": {"instances": _CANVAS}}, "error"),
        (
            "/v1/models/colours:classify",
            {"json": {"examples": [{"image": {"b64": BASE64}}]}},
            "error",
        ),
    ],
)
def test_nan_is_an_error_in_every_protocol(nan_client, path, request_body, key):
    response = nan_client.post(path, **request_body)
    assert response.status_code == 500
    body = json.loads(response.content, parse_constant=pytest.fail)
    assert body[key].startswith(MESSAGE)
    if key == "detail":
        assert body["code"] == "model_output_invalid"
        assert response.headers["content-type"] == "application/problem+json"


def test_an_embedding_of_infinity_is_an_error(nan_client):
    response = nan_client.post("/api/v1/embed", content=WHITE)
    assert (response.status_code, response.json()["code"]) == (500, "model_output_invalid")
    assert nan_client.post("/api/v1/embed", content=RED).status_code == 200


def test_in_a_batch_the_other_photos_get_their_results(nan_client):
    response = nan_client.post("/api/v1/classify", **_TWO)
    assert response.status_code == 200
    good, bad = json.loads(response.content, parse_constant=pytest.fail)["results"]
    assert good["predictions"][0]["label"] == "red"
    assert (bad["problem"]["status"], bad["problem"]["code"]) == (500, "model_output_invalid")


def test_invalid_outputs_are_counted_by_model_and_logged(nan_client, caplog):
    nan_client.post("/api/v1/classify", content=WHITE)
    nan_client.post("/hf/colours", content=WHITE)
    nan_client.post("/api/v1/classify", **_TWO)
    metrics = nan_client.get("/metrics").text
    assert 'hubel_invalid_outputs_total{model="colours",version="1"} 3.0' in metrics
    assert 'hubel_rejections_total{code="model_output_invalid"} 3.0' in metrics
    assert 'hubel_images_total{model="colours",version="1"} 1.0' in metrics
    assert caplog.text.count(MESSAGE) == 3
