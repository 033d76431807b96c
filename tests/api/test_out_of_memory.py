"""A request for which the process has no memory gets 503 in every protocol; the others go on."""

import base64

import pytest

from app import vision
from app.api.routes import classify

CLASSIFY = "/api/v1/classify"
ERRORS = [
    MemoryError(),
    RuntimeError("can't start new thread"),
    RuntimeError("Failed to allocate memory for requested buffer of size 99"),
]


def requests(photo: bytes) -> dict[str, dict]:
    text = base64.b64encode(photo).decode()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [text]}
    return {
        CLASSIFY: {"content": photo},
        "/api/v1/explain": {"content": photo},
        "/v2/models/colours/infer": {"json": {"inputs": [tensor]}},
        "/hf/colours": {"content": photo},
        "/predictions/colours": {"content": photo},
        "/v1/models/colours:predict": {"json": {"instances": [{"b64": text}]}},
    }


@pytest.mark.parametrize("path", requests(b""))
@pytest.mark.parametrize("stage", ["decode", "resize"])
def test_no_memory_for_a_photo_is_503_in_each_protocols_own_shape(
    client, photo, monkeypatch, path, stage
):
    def fail(*_):
        raise MemoryError

    request = requests(photo("red"))[path]
    with monkeypatch.context() as patch:
        if stage == "decode":
            patch.setattr(vision.OpenedImage, "_decode", fail)
        else:
            patch.setattr(vision, "resize", fail)
        response = client.post(path, **request)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    body = response.json()
    sentence = body.get("detail") or body.get("error") or body["message"]
    assert "no memory left" in sentence
    assert "Try again later" in sentence
    assert body.get("code", "out_of_memory") in ("out_of_memory", 503)
    assert client.post(path, **request).status_code == 200


@pytest.mark.parametrize("error", ERRORS, ids=["memory", "thread", "onnx runtime"])
@pytest.mark.parametrize("cached", [False, True], ids=["first", "cached route"])
def test_no_memory_anywhere_else_in_a_request_is_503(client, photo, monkeypatch, error, cached):
    async def fail(*_, **options):
        raise error

    if cached:
        client.post(CLASSIFY, content=photo("red"))
    with monkeypatch.context() as patch:
        patch.setattr(classify, "classify_photos", fail)
        response = client.post(CLASSIFY, content=photo("red"))
    assert (response.status_code, response.json()["code"]) == (503, "out_of_memory")
    assert int(response.headers["retry-after"]) >= 1
    assert client.post(CLASSIFY, content=photo("red")).status_code == 200
    assert 'hubel_rejections_total{code="out_of_memory"}' in client.get("/metrics").text


def test_one_photo_of_a_batch_fails_alone(client, photo, monkeypatch):
    resize, calls = vision.resize, []

    def fail_once(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise MemoryError
        return resize(*arguments)

    monkeypatch.setattr(vision, "resize", fail_once)
    files = [("file", (name, photo("red"))) for name in ("a", "b", "c")]
    results = client.post(CLASSIFY, files=files).json()["results"]
    codes = [result.get("problem", {}).get("code") for result in results]
    assert sorted(codes, key=str) == [None, None, "out_of_memory"]
