"""/api/v1/captures/ids, /counts and thumbnails: what a page of all kept photos needs."""

import io

import pytest
from PIL import Image

CLASSIFY, CAPTURES = "/api/v1/classify", "/api/v1/captures"
ADMIN = {"X-API-Key": "adm"}


@pytest.fixture
def keeping(make_bundle, serve, tmp_path):
    make_bundle()
    folder = tmp_path / "data"
    folder.mkdir()
    with serve(data_dir=folder, capture="sample:1", admin_key="adm") as client:
        yield client


def keep(client, *photos):
    """Keep photos; return their ids."""
    for photo in photos:
        assert client.post(CLASSIFY, content=photo).status_code == 200
    client.app.state.service.captures.recorder.wait_until_written()
    page = client.get(CAPTURES, headers=ADMIN).json()
    return [capture["id"] for capture in page["captures"]][::-1]


def test_all_ids_of_a_list_are_returned(keeping, photo):
    ids = keep(keeping, photo("red"), photo("green"), photo("blue"))
    response = keeping.get(f"{CAPTURES}/ids", headers=ADMIN).json()
    assert (sorted(response["ids"]), response["more"]) == (ids, False)
    params = {"order": "newest", "predicted": "red"}
    assert keeping.get(f"{CAPTURES}/ids", params=params, headers=ADMIN).json()["ids"] == ids[:1]
    page = keeping.get(CAPTURES, params={"id": [ids[2], ids[0], 999]}, headers=ADMIN).json()
    assert [capture["id"] for capture in page["captures"]] == [ids[2], ids[0]]
    wrong = keeping.get(f"{CAPTURES}/ids", params={"count": 3}, headers=ADMIN)
    assert wrong.json()["code"] == "bad_parameter"


def test_captures_are_counted(keeping, photo):
    ids = keep(keeping, photo("red"), photo("green"))
    keeping.patch(f"{CAPTURES}/{ids[0]}", json={"label": "rose"}, headers=ADMIN)
    counts = keeping.get(f"{CAPTURES}/counts", params={"model": "colours"}, headers=ADMIN).json()
    assert (counts["captures"], counts["labelled"]) == (2, 1)
    assert counts["models"] == [{"name": "colours", "captures": 2}]
    assert counts["labels"] == [{"name": "rose", "captures": 1}]


def test_a_thumbnail_is_a_small_upright_jpeg(keeping):
    file = io.BytesIO()
    image = Image.new("RGB", (1200, 600), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(file, "jpeg", exif=exif)
    (id,) = keep(keeping, file.getvalue())
    response = keeping.get(f"{CAPTURES}/{id}/image", params={"size": 240}, headers=ADMIN)
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["vary"] == "Authorization, X-API-Key"
    with Image.open(io.BytesIO(response.content)) as small:
        assert small.size == (120, 240)
        red, green, blue = small.getpixel((60, 120))
        assert red > 200
        assert max(green, blue) < 50


def test_a_small_photo_is_not_enlarged(keeping):
    file = io.BytesIO()
    Image.new("RGBA", (60, 20), (0, 0, 255, 128)).save(file, "png")
    (id,) = keep(keeping, file.getvalue())
    response = keeping.get(f"{CAPTURES}/{id}/image?size=240", headers=ADMIN)
    with Image.open(io.BytesIO(response.content)) as small:
        assert small.size == (60, 20)


@pytest.mark.parametrize("size", ["31", "481", "x", ""])
def test_a_size_out_of_range_is_refused(keeping, size):
    response = keeping.get(f"{CAPTURES}/1/image", params={"size": size}, headers=ADMIN)
    assert (response.status_code, response.json()["code"]) == (400, "bad_parameter")


@pytest.mark.parametrize("path", ["ids", "counts", "1/image?size=64"])
def test_the_scope_label_is_needed(keeping, path):
    assert keeping.get(f"{CAPTURES}/{path}").json()["code"] == "unauthenticated"
