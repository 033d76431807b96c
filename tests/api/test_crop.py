"""A request's crop: a part of a photo, or several, in the own API and in other protocols."""

import base64
import io
import struct

import numpy as np
import pytest
from PIL import Image

from app.vision.formats.jpeg import OpenedJpeg

LEFT, RIGHT = "0,0,150,200", "50%,0%,50%,100%"
ROUTES = ["classify", "embed", "explain", "activations"]
MODELS = {"classify": "colours", "embed": "embeds"}


@pytest.fixture(scope="module")
def client(tmp_path_factory, module_bundle_maker, module_serve, textbook, contrast):
    """A client of three models: `colours`, `textbook` with layers, `embeds` with an embedding."""
    below = tmp_path_factory.mktemp("service")
    make = module_bundle_maker(below)
    make()
    make(name="textbook", graph=textbook)
    make(name="embeds", graph=contrast(()))
    with module_serve(below, default_model="textbook") as client:
        yield client


def encoded(image: Image.Image, format: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def halves() -> Image.Image:
    """A picture of 300 x 200: its left half red, its right half blue."""
    pixels = np.full((200, 300, 3), (230, 20, 20), np.uint8)
    pixels[:, 150:] = (20, 20, 230)
    return Image.fromarray(pixels)


def post(client, route="classify", photo=b"", crops=(), **options):
    parameters = [("crop", crop) for crop in crops]
    if route in MODELS:
        parameters.append(("model", MODELS[route]))
    return client.post(f"/api/v1/{route}", params=parameters, content=photo, **options)


def labels(results):
    return [result["predictions"][0]["label"] for result in results]


def test_a_crop_is_classified_in_place_of_the_whole(client, halves):
    for crop, label, pixels in ((LEFT, "red", (0, 150)), (RIGHT, "blue", (150, 150))):
        result = post(client, photo=encoded(halves), crops=[crop]).json()
        assert labels([result]) == [label]
        x, width = pixels
        assert result["image"] == {
            "format": "png", "width": 300, "height": 200,
            "crop": {"x": x, "y": 0, "width": width, "height": 200},
        }  # fmt: skip


def test_without_a_crop_the_response_says_so(client, halves):
    assert post(client, photo=encoded(halves)).json()["image"]["crop"] is None


def test_several_crops_are_results_in_their_order_and_decoded_once(client, halves, monkeypatch):
    photo, decoded = encoded(halves, "JPEG", quality=95), []
    load = OpenedJpeg.load
    monkeypatch.setattr(OpenedJpeg, "load", lambda self: decoded.append(1) or load(self))
    response = post(client, photo=photo, crops=[RIGHT, LEFT, RIGHT])
    assert labels(response.json()["results"]) == ["blue", "red", "blue"]
    assert len(decoded) == 1
    single = [post(client, photo=photo, crops=[crop]).json() for crop in (RIGHT, LEFT)]
    assert response.json()["results"][:2] == single
    assert "decode" in response.headers["server-timing"]


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("route", ROUTES)
def test_a_crop_gives_what_a_file_gives_that_was_cut_before(client, blob, route, orientation):
    upright = Image.open(io.BytesIO(blob("green", 1, "PNG", 400))).resize((400, 290))
    tag = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + tag + bytes(4)
    stored = upright.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else upright
    of_photo = post(client, route, encoded(stored, exif=exif), ["120,30,200,150"]).json()
    of_file = post(client, route, encoded(upright.crop((120, 30, 320, 180)))).json()
    assert of_photo["image"]["width"] == 400
    assert of_file.pop("image")["width"] == 200
    del of_photo["image"]
    for part in ("box", "png"):
        moved, box = of_photo.pop(part, None), of_file.pop(part, None)
        if part == "box" and box:
            box |= {"left": box["left"] + 120, "top": box["top"] + 30}
        assert moved == box
    assert of_photo == of_file


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_takes_several_crops(client, halves, route):
    results = post(client, route, encoded(halves), [LEFT, RIGHT]).json()["results"]
    assert [result["image"]["crop"]["x"] for result in results] == [0, 150]
    alone = post(client, route, encoded(halves), [RIGHT]).json()
    assert results[1] == alone


def test_a_crop_may_be_a_field_of_the_form(client, halves):
    files = [("file", ("a.png", encoded(halves))), *[("crop", (None, c)) for c in (LEFT, RIGHT)]]
    response = client.post("/api/v1/classify?model=colours", files=files)
    assert labels(response.json()["results"]) == ["red", "blue"]
    same = client.post(f"/api/v1/classify?model=colours&crop={LEFT}", files=files[:2])
    assert labels([same.json()]) == ["red"]
    other = client.post(f"/api/v1/classify?model=colours&crop={LEFT}", files=files)
    assert other.status_code == 400
    assert "in the query and" in other.json()["detail"]
    empty = client.post("/api/v1/classify?model=colours", files=[files[0], ("crop", (None, ""))])
    assert empty.json()["image"]["crop"] is None


@pytest.mark.parametrize(
    ("crops", "words"),
    [
        (["1,2,3"], "is not x,y,width,height"),
        (["0,0,301,1"], "beyond the photo's 300 x 200 pixels"),
        ([LEFT, "0,0,1,201"], "beyond the photo's 300 x 200 pixels"),
        (["0,0,0,1"], "is empty"),
        (["0%,0%,200%,1%"], "over 100 %"),
        ([LEFT] * 65, "has 65 crops"),
    ],
)
@pytest.mark.parametrize("route", ROUTES)
def test_a_crop_that_cannot_be_used_is_a_problem(client, halves, crops, words, route):
    response = post(client, route, encoded(halves), crops)
    assert response.status_code == 400
    assert response.json()["code"] == "bad_parameter"
    assert words in response.json()["detail"]


def test_a_crop_is_checked_before_the_body_is_read(client, connect):
    raw = connect(client)
    raw.send("POST /api/v1/classify?crop=1,2 HTTP/1.1", "Content-Length: 1000000")
    status, _, problem = raw.read_response()
    assert (status, problem["code"]) == (400, "bad_parameter")


def test_a_crop_of_several_photos_is_a_problem(client, halves):
    files = [("file", ("a.png", encoded(halves)))] * 2
    response = client.post(f"/api/v1/classify?crop={LEFT}&model=colours", files=files)
    assert response.status_code == 400
    assert "one photo, and the request has 2" in response.json()["detail"]


@pytest.mark.parametrize("crops", [[LEFT], [LEFT, RIGHT]], ids=["one crop", "two"])
def test_a_broken_photo_is_a_problem_whatever_its_crops(client, crops):
    assert post(client, photo=b"no photo", crops=crops).json()["code"] == "not_an_image"


def test_a_picture_shows_one_crop(client, halves):
    png = {"Accept": "image/png"}
    one = post(client, "explain", encoded(halves), [LEFT], headers=png)
    assert one.headers["content-type"] == "image/png"
    two = post(client, "explain", encoded(halves), [LEFT, RIGHT], headers=png)
    assert two.status_code == 400
    assert "one crop" in two.json()["detail"]


def test_the_explanation_of_a_crop_lies_on_it(client, halves):
    found = post(client, "explain", encoded(halves), ["200,50,90,60"]).json()
    assert found["box"] == {"left": 215, "top": 50, "width": 60, "height": 60}


def test_urls_with_a_crop_are_not_cached(client, halves):
    post(client, photo=encoded(halves))
    cached = len(client.app.state.route_cache)
    post(client, photo=encoded(halves), crops=["0,0,7,9"])
    assert len(client.app.state.route_cache) == cached


def b64(photo: bytes) -> str:
    return base64.b64encode(photo).decode()


def test_hugging_face(client, halves):
    photo, query = encoded(halves), f"crop={LEFT}&crop=150,0,150,200"
    several = client.post(f"/hf/colours?{query}", content=photo).json()
    assert [scores[0]["label"] for scores in several] == ["red", "blue"]
    body = {"inputs": b64(photo), "parameters": {"crop": RIGHT, "top_k": 1}}
    (best,) = client.post("/hf/colours", json=body).json()
    assert best["label"] == "blue"
    body["parameters"]["crop"] = [LEFT, RIGHT]
    assert len(client.post("/hf/colours", json=body).json()) == 2
    differs = client.post(f"/hf/colours?crop={LEFT}", json=body)
    assert (differs.status_code, "in the body" in differs.json()["error"]) == (400, True)
    body["parameters"]["crop"] = 7
    assert client.post("/hf/colours", json=body).status_code == 400


def test_torchserve(client, halves):
    one = client.post(f"/predictions/colours?crop={LEFT}", content=encoded(halves)).json()
    assert next(iter(one)) == "red"
    url = f"/predictions/colours/1?crop={LEFT}&crop=150,0,150,200"
    assert [next(iter(s)) for s in client.put(url, content=encoded(halves)).json()] == [
        "red", "blue",
    ]  # fmt: skip
    bad = client.post("/predictions/colours?crop=1", content=encoded(halves))
    assert (bad.status_code, bad.json()["type"]) == (400, "bad_parameter")


def test_tensorflow_serving(client, halves):
    body = {"instances": [{"b64": b64(encoded(halves))}]}
    url = f"/v1/models/colours:predict?crop={LEFT}&crop=150,0,150,200"
    rows = client.post(url, json=body).json()["predictions"]
    assert np.argmax(rows, axis=1).tolist() == [0, 2]
    examples = {"examples": [{"image": body["instances"][0]}]}
    url = f"/v1/models/colours:classify?crop={LEFT}"
    assert client.post(url, json=examples).json()["results"][0][0][0] == "red"
    two = {"instances": body["instances"] * 2}
    refused = client.post(f"/v1/models/colours:predict?crop={LEFT}", json=two)
    assert (refused.status_code, "has 2" in refused.json()["error"]) == (400, True)


def test_v2(client, halves):
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [b64(encoded(halves))]}
    body = {"inputs": [tensor], "parameters": {"crop": [LEFT, RIGHT]}}
    (output,) = client.post("/v2/models/colours/infer", json=body).json()["outputs"]
    assert output["shape"] == [2, 3]
    assert np.reshape(output["data"], (2, 3)).argmax(axis=1).tolist() == [0, 2]
    raw = client.post(
        f"/v2/models/colours/infer?crop={LEFT}",
        content=encoded(halves),
        headers={"Inference-Header-Content-Length": "0"},
    ).json()
    assert int(np.argmax(raw["outputs"][0]["data"])) == 0
    pixels = {"name": "image", "datatype": "UINT8", "shape": [1, 32, 32, 3]}
    array = {"inputs": [pixels | {"data": [0] * 32 * 32 * 3}], "parameters": {"crop": LEFT}}
    refused = client.post("/v2/models/colours/infer", json=array)
    assert (refused.status_code, "an array" in refused.json()["error"]) == (400, True)
