"""benchmarks/fit.py on a few photos."""

from io import BytesIO

import pytest
from PIL import Image

from app.runtime.loaded_model import load_model
from benchmarks import fit


@pytest.fixture
def photos(tmp_path, blob):
    for hue in ("red", "blue"):
        (tmp_path / "photos" / hue).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "photos" / hue / f"{number}.jpg").write_bytes(blob(hue, number))
    return tmp_path / "photos"


def test_a_pasted_photo_touches_the_edge_and_its_crop_equals_the_file_cut_before(
    photos, tmp_path, imagenet
):
    tested = fit.make_folders(photos, 1, tmp_path / "data")
    assert [photo.label for photo in tested] == ["blue", "red"]
    for photo in tested:
        canvas = Image.open(BytesIO(photo.canvas))
        assert canvas.size == (3 * fit.HEIGHT, fit.HEIGHT)
        left, _, right, _ = photo.crop.pixels(*canvas.size)
        assert left == 0 or right == canvas.width
    assert fit.largest_difference(load_model(imagenet, "cpu", "fp32"), tested) < 1e-3
    assert len(list((tmp_path / "data" / "plain" / "train" / "red").iterdir())) == 1
