from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from app.bundle import InputSpec
from app.vision import CANVAS, decode, resize


@dataclass(frozen=True)
class Spec:
    size: int
    crop: float = 1.0
    resample: Literal["box", "bilinear", "bicubic", "lanczos"] = "bicubic"

    @property
    def height(self) -> int:
        return self.size

    @property
    def width(self) -> int:
        return self.size


@pytest.fixture
def canvas(scene):
    return np.asarray(scene(CANVAS, CANVAS))


def test_the_whole_canvas_at_its_own_size_is_the_canvas_itself(canvas):
    for resample in ("box", "bilinear", "bicubic", "lanczos"):
        assert resize(canvas, Spec(CANVAS, 1, resample)) is canvas


@pytest.mark.parametrize("resample", ["box", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(
    ("size", "crop"),
    [
        (8, 1.0),
        (32, 1.0),
        (224, 0.875),
        (224, 0.8),
        (240, 1.0),
        (299, 0.7),
        (480, 0.5),
        (480, 0.01),
    ],
)
def test_the_result_is_contiguous_uint8_of_the_requested_size(canvas, size, crop, resample):
    resized = resize(canvas, Spec(size, crop, resample))
    assert resized.shape == (size, size, 3)
    assert resized.dtype == np.uint8
    assert resized.flags.c_contiguous


@pytest.mark.parametrize(("size", "crop"), [(240, 1.0), (160, 1.0), (120, 0.5), (32, 1.0)])
def test_box_by_a_whole_factor_is_the_mean_of_each_block(canvas, size, crop):
    side = round(crop * CANVAS)
    start, factor = (CANVAS - side) // 2, side // size
    square = canvas[start : start + side, start : start + side].astype(np.float64)
    mean = square.reshape(size, factor, size, factor, 3).mean(axis=(1, 3))
    # Pillow's fixed-point arithmetic rounds a value just below one half up.
    assert np.abs(resize(canvas, Spec(size, crop, "box")) - mean).max() <= 0.56


@pytest.mark.parametrize("resample", ["bilinear", "bicubic", "lanczos"])
def test_a_canvas_is_resized_as_pillow_does(canvas, resample):
    expected = Image.fromarray(canvas).resize(
        (224, 224), Image.Resampling[resample.upper()], (30, 30, 450, 450)
    )
    assert np.array_equal(resize(canvas, Spec(224, 0.875, resample)), np.asarray(expected))


@pytest.mark.parametrize("crop", [419 / 480, 420 / 480], ids=["odd", "even"])
@pytest.mark.parametrize("resample", ["box", "bilinear", "bicubic", "lanczos"])
def test_the_square_is_in_the_centre(canvas, crop, resample):
    spec = Spec(105, crop, resample)
    mirrored = resize(np.ascontiguousarray(canvas[:, ::-1]), spec)[:, ::-1]
    assert np.abs(resize(canvas, spec).astype(int) - mirrored).max() <= 1


def test_a_crop_at_the_same_size_copies_the_square(canvas):
    assert np.array_equal(resize(canvas, Spec(240, 0.5)), canvas[120:360, 120:360])


@pytest.mark.parametrize("spec", [Spec(240, 1, "box"), Spec(224, 0.875), Spec(CANVAS)], ids=repr)
@pytest.mark.parametrize("size", [(480, 480), (640, 480), (480, 900)], ids=str)
def test_a_picture_at_canvas_size_is_resized_as_its_canvas(scene, encode, limits, spec, size):
    picture = decode(encode(scene(*size), "JPEG"), limits)
    assert picture.is_canvas
    assert np.array_equal(resize(picture, spec), resize(picture.canvas, spec))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_an_image_that_is_not_rgb_is_resized_to_the_canvas_at_once(scene, encode, limits, mode):
    picture = decode(encode(scene(500, 375).convert(mode), "PNG"), limits)
    assert picture.is_canvas
    assert np.array_equal(resize(picture, Spec(224)), resize(picture.canvas, Spec(224)))


def test_a_large_image_is_resized_to_the_canvas_at_once(scene, encode, limits):
    assert decode(encode(scene(2000, 1000), "PNG"), limits).is_canvas
    assert not decode(
        encode(scene(2000, 1000), "JPEG"), limits
    ).is_canvas  # decoded at half its size


def test_a_model_that_reads_the_whole_canvas_gets_the_canvas_itself(scene, encode, limits):
    picture = decode(encode(scene(500, 375), "JPEG"), limits)
    assert resize(picture, Spec(CANVAS)) is picture.canvas


def test_the_input_spec_of_a_bundle_is_accepted(canvas):
    spec = InputSpec(size=224, crop=0.875, resample="bicubic")
    assert resize(canvas, spec).shape == (224, 224, 3)


@pytest.mark.parametrize(
    "canvas",
    [
        np.zeros((480, 480), np.uint8),
        np.zeros((224, 224, 3), np.uint8),
        np.zeros((480, 480, 4), np.uint8),
        np.zeros((480, 480, 3), np.float32),
        Image.new("L", (480, 480)),
        Image.new("RGB", (480, 479)),
    ],
    ids=["grey", "smaller", "alpha", "float", "grey-image", "smaller-image"],
)
def test_an_array_or_image_that_is_no_canvas_is_refused(canvas):
    with pytest.raises(ValueError, match=r"a canvas is uint8 \(480, 480, 3\)"):
        resize(canvas, Spec(224))
