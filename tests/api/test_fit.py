"""Models that read the whole photo, and inputs that aren't square, in every protocol."""

import io
import json

import httpx
import numpy as np
import pytest
from PIL import Image

HEIGHT, WIDTH = 24, 48


@pytest.fixture(scope="module")
def client(tmp_path_factory, module_bundle_maker, module_serve):
    """A client of three models: `cover`, `contain`, and `stretch` with an input of 24 x 48."""
    below = tmp_path_factory.mktemp("service")
    make = module_bundle_maker(below)
    make(name="cover")
    make(name="contain", fit="contain")
    make(name="stretch", fit="stretch", size=(HEIGHT, WIDTH))
    with module_serve(below) as client:
        yield client


@pytest.fixture(scope="module")
def wide():
    """A photo of 300 x 100: green in its centre square, red on both sides."""
    pixels = np.full((100, 300, 3), (230, 20, 20), np.uint8)
    pixels[:, 100:200] = (20, 230, 20)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def classify(client: httpx.Client, photo: bytes, model: str):
    response = client.post("/api/v1/classify", params={"model": model}, content=photo)
    assert response.status_code == 200, response.text
    return {p["label"]: p["probability"] for p in response.json()["predictions"]}


def softmax(*means):
    logits = (np.array(means) - 127) / 128 * 8
    exponents = np.exp(logits - logits.max())
    return dict(zip(("red", "green", "blue"), exponents / exponents.sum(), strict=True))


@pytest.mark.parametrize(
    ("model", "means"),
    [
        ("cover", (20, 230, 20)),
        ("stretch", (160, 90, 20)),
        ("contain", ((160 + 2 * 127) / 3, (90 + 2 * 127) / 3, (20 + 2 * 127) / 3)),
    ],
)
def test_each_fit_reads_its_part_of_the_photo(client, wide, model, means):
    assert classify(client, wide, model) == pytest.approx(softmax(*means), abs=0.01)


def test_the_metadata_states_the_shape_of_the_input(client):
    assert client.get("/api/v1/models/stretch").json()["input"] == {
        "canvas": 480, "fit": "stretch", "size": [HEIGHT, WIDTH], "crop": 1.0, "resample": "box",
    }  # fmt: skip
    signatures = client.get("/v1/models/stretch/metadata").json()["metadata"]["signature_def"]
    image = signatures["signature_def"]["pixels"]["inputs"]["image"]
    sizes = [dim["size"] for dim in image["tensor_shape"]["dim"]]
    assert sizes == ["-1", str(HEIGHT), str(WIDTH), "3"]


@pytest.fixture(scope="module")
def arrays():
    """Two arrays of the input's shape, red and blue, as (2, 24, 48, 3)."""
    colours = np.array([(230, 20, 20), (20, 20, 230)], np.uint8)
    return np.broadcast_to(colours[:, np.newaxis, np.newaxis], (2, HEIGHT, WIDTH, 3))


def test_v2_takes_arrays_that_are_not_square(client, arrays):
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(arrays.shape)}
    body = {"inputs": [tensor | {"data": arrays.ravel().tolist()}]}
    response = client.post("/v2/models/stretch/infer", json=body)
    rows = np.reshape(response.json()["outputs"][0]["data"], (2, 3))
    assert rows.argmax(axis=1).tolist() == [0, 2]
    raw = client.post(
        "/v2/models/stretch/infer",
        content=arrays[1].tobytes(),
        headers={"Inference-Header-Content-Length": "0"},
    )
    assert raw.json()["outputs"][0]["data"] == pytest.approx(rows[1].tolist(), abs=1e-6)


def test_v2_names_the_shapes_that_it_takes(client):
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, WIDTH, HEIGHT, 3], "data": []}
    response = client.post("/v2/models/stretch/infer", json={"inputs": [tensor]})
    assert response.status_code == 400
    assert "[n, 480, 480, 3] or [n, 24, 48, 3]" in response.json()["error"]


def test_tensorflow_serving_takes_lists_that_are_not_square(client, arrays):
    body = json.dumps({"instances": arrays.tolist()})
    response = client.post("/v1/models/stretch:predict", content=body)
    rows = np.array(response.json()["predictions"])
    assert rows.argmax(axis=1).tolist() == [0, 2]
    turned = json.dumps({"instances": arrays.transpose(0, 2, 1, 3).tolist()})
    response = client.post("/v1/models/stretch:predict", content=turned)
    assert response.status_code == 400
    assert "24 x 48 x 3 or 480 x 480 x 3" in response.json()["error"]


@pytest.mark.parametrize(
    ("model", "size", "box"),
    [
        ("cover", (480, 480), {"left": 100, "top": 0, "width": 100, "height": 100}),
        ("stretch", (480, 160), {"left": 0, "top": 0, "width": 300, "height": 100}),
        ("contain", (480, 160), {"left": 0, "top": -100, "width": 300, "height": 300}),
    ],
)
def test_an_explanation_lies_on_the_photo(client, wide, model, size, box):
    parameters = {"model": model, "label": "green"}
    explained = client.post("/api/v1/explain", params=parameters, content=wide).json()
    assert explained["box"] == pytest.approx(box)
    map = np.array(explained["map"])
    across = (np.arange(map.shape[1]) + 0.5) / map.shape[1] * box["width"] + box["left"]
    down = (np.arange(len(map)) + 0.5) / len(map) * box["height"] + box["top"]
    inside = map[(down > 0) & (down < 100)]
    if model != "cover":
        assert inside[:, (across > 110) & (across < 190)].min() > inside[:, across < 80].max()
    picture = client.post(
        "/api/v1/explain", params=parameters, content=wide, headers={"Accept": "image/png"}
    )
    overlay = Image.open(io.BytesIO(picture.content))
    assert overlay.size == size
    red, green, _ = np.asarray(overlay)[size[1] // 2, size[0] // 2].astype(int)
    assert green > red - 60  # the middle is green below the warm colour
