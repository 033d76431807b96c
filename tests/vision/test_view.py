"""The part of a photo that a model reads: its centre square, all of it, or a crop."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from app.errors import BadParameter
from app.vision import CANVAS, CENTRE_SQUARE, Crop, View, decode, read_header, resize
from app.vision.canvas import CANVAS_RESAMPLE, PADDING, WHOLE_CANVAS
from tests.vision.test_colour import DISPLAY_P3, rgb_profile, srgb_to_linear
from tests.vision.test_orientation import STORED, stored, tiff

SIZES = [(700, 233), (233, 700), (480, 160), (50, 20), (5000, 3), (3, 5000), (2500, 800)]
FITS = ("cover", "stretch", "contain")


@dataclass(frozen=True)
class Spec:
    height: int = 240
    width: int = 240
    crop: float = 1.0
    resample: Literal["box", "bilinear", "bicubic", "lanczos"] = "box"


def exact_canvas(image, place):
    """Return the canvas without rounding, one channel after the other by Pillow."""
    left, top, width, height = place
    canvas = np.full((CANVAS, CANVAS, 3), PADDING, np.float32)
    filter = Image.Resampling[CANVAS_RESAMPLE.upper()]
    for channel, plane in enumerate(image.split()):
        resized = plane.convert("F").resize((width, height), filter)
        canvas[top : top + height, left : left + width, channel] = np.asarray(resized)
    return canvas


def resized_floats(canvas, spec):
    low = (CANVAS - round(spec.crop * CANVAS)) / 2
    filter, box = Image.Resampling[spec.resample.upper()], (low, low, CANVAS - low, CANVAS - low)
    planes = [
        Image.fromarray(np.ascontiguousarray(canvas[:, :, c])).resize(
            (spec.width, spec.height), filter, box
        )
        for c in range(3)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


@pytest.mark.parametrize(
    ("fit", "size", "aspect", "box", "place"),
    [
        ("cover", (600, 200), 1, (200, 0, 400, 200), WHOLE_CANVAS),
        ("stretch", (600, 200), 1, (0, 0, 600, 200), WHOLE_CANVAS),
        ("stretch", (600, 200), 3, (0, 0, 600, 200), WHOLE_CANVAS),
        ("contain", (600, 200), 1, (0, 0, 600, 200), (0, 160, 480, 160)),
        ("contain", (200, 600), 1, (0, 0, 200, 600), (160, 0, 160, 480)),
        ("contain", (600, 200), 3, (0, 0, 600, 200), WHOLE_CANVAS),
        ("contain", (600, 200), 2, (0, 0, 600, 200), (0, 80, 480, 320)),
        ("contain", (200, 200), 2, (0, 0, 200, 200), (120, 0, 240, 480)),
        ("contain", (9000, 1), 1, (0, 0, 9000, 1), (0, 239, 480, 1)),
    ],
)
def test_a_fit_lays_the_photo_out_on_the_canvas(fit, size, aspect, box, place):
    assert View(fit, aspect).lay_out((0, 0, *size)) == (box, place)


@pytest.mark.parametrize("spec", [Spec(), Spec(96, 160, 0.875, "bicubic"), Spec(200, 72)], ids=str)
@pytest.mark.parametrize("size", SIZES[:4], ids=str)
@pytest.mark.parametrize("fit", ["stretch", "contain"])
def test_one_step_equals_both_resizes_by_pillow_rounded_once(
    scene, encode, limits, fit, size, spec
):
    image = scene(*size)
    picture = decode(encode(image, "PNG"), limits, View(fit, spec.width / spec.height))
    expected = resized_floats(exact_canvas(image, picture.place), spec)
    tolerance = 1 if picture.is_canvas else 0.5 + 1e-3  # a canvas is rounded in between
    actual = resize(picture, spec)
    assert actual.shape == (spec.height, spec.width, 3)
    assert actual.flags.c_contiguous
    assert np.abs(actual - np.clip(expected, 0, 255)).max() <= tolerance


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("fit", ["stretch", "contain"])
def test_the_canvas_shows_the_whole_photo(scene, encode, limits, fit, size):
    image = scene(*size)
    for mode in ("RGB", "L", "RGBA"):
        picture = decode(encode(image.convert(mode), "PNG"), limits, View(fit))
        expected = exact_canvas(image.convert(mode).convert("RGB"), picture.place)
        # Pillow rounds, and cuts the overshoot at hard edges, between the two directions.
        difference = np.abs(picture.canvas - np.clip(expected, 0, 255))
        assert np.quantile(difference, 0.98) <= 1
        assert picture.canvas.flags.c_contiguous
        assert (picture.width, picture.height) == size


@pytest.mark.parametrize("fit", ["stretch", "contain"])
def test_a_small_photo_of_the_canvas_s_size_stays_untouched(scene, encode, limits, fit):
    image = scene(CANVAS, CANVAS)
    assert np.array_equal(decode(encode(image, "PNG"), limits, View(fit)).canvas, image)


@pytest.mark.parametrize("view", [View("stretch"), View("contain", 2), View("contain", 0.5)])
def test_all_eight_orientations_give_the_same_canvas(scene, encode, limits, view):
    upright = scene(333, 801)
    expected = decode(encode(upright, "PNG"), limits, view)
    for value in STORED:
        data = encode(stored(upright, value), "PNG", exif=b"Exif\0\0" + tiff(value))
        picture = decode(data, limits, view)
        assert np.array_equal(picture.canvas, expected.canvas), value
        assert picture.place == expected.place


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(
    ("view", "scale"),
    [
        (CENTRE_SQUARE, 1),
        (View("stretch"), 1),
        (View("contain"), 8),
        (View("contain", 2), 4),
        (View(crop=Crop.parse("0,0,3000,490")), 1),
    ],
    ids=["cover", "stretch", "contain", "contain-wide", "crop"],
)
def test_a_jpeg_is_decoded_no_smaller_than_the_canvas_shows_it(
    scene, encode, limits, view, scale, orientation
):
    upright = scene(3900, 490)
    exif = b"Exif\0\0" + tiff(orientation)
    opened = read_header(encode(stored(upright, orientation), "JPEG", exif=exif), limits, (view,))
    assert opened._file.load().scale == scale


@pytest.mark.parametrize("size", [(600, 200), (2400, 800)], ids=["one step", "at once"])
def test_the_grey_around_a_photo_with_a_profile_is_srgb(scene, encode, limits, size):
    icc = rgb_profile(DISPLAY_P3, srgb_to_linear)
    data = encode(scene(*size), "PNG", icc_profile=icc, compress_level=1)
    pixels = resize(decode(data, limits, View("contain")), Spec())
    plain = resize(decode(encode(scene(*size), "PNG"), limits, View("contain")), Spec())
    assert (pixels[:79] == PADDING).all()
    assert (pixels[161:] == PADDING).all()
    assert np.abs(pixels[80:160].astype(int) - plain[80:160]).max() > 5


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("size", "crop", "orientation"),
    [
        ((700, 433), "100,20,333,200", 1),
        ((700, 433), "10%,0%,50%,99.5%", 6),
        ((700, 433), "0,0,1,1", 7),
        ((1900, 1000), "0%,0%,99%,100%", 1),
    ],
)
def test_a_crop_equals_a_file_that_was_cut_before(
    scene, encode, limits, fit, size, crop, orientation
):
    upright = scene(*size)
    exif = b"Exif\0\0" + tiff(orientation)
    data = encode(stored(upright, orientation), "PNG", exif=exif, compress_level=1)
    picture = decode(data, limits, View(fit, crop=Crop.parse(crop)))
    left, top, right, bottom = picture.crop
    file = encode(upright.crop((left, top, right, bottom)), "PNG", compress_level=1)
    cut = decode(file, limits, View(fit))
    assert np.array_equal(resize(picture, Spec()), resize(cut, Spec()))
    assert (picture.width, picture.height) == size
    shown = [edge - (left, top)[number % 2] for number, edge in enumerate(picture.shown)]
    assert shown == pytest.approx(cut.shown)


def test_several_crops_are_decoded_once(scene, encode, limits):
    data = encode(scene(700, 500), "PNG")
    views = [View(crop=Crop.parse(text)) for text in ("0,0,300,200", "50%,0%,50%,100%")]
    opened = read_header(data, limits, views)
    loads, load = [], opened._file.load
    opened._file.load = lambda: loads.append(1) or load()
    pictures = list(opened.views())
    assert [picture.crop for picture in pictures] == [(0, 0, 300, 200), (350, 0, 700, 500)]
    assert len(loads) == 1
    for picture, view in zip(pictures, views, strict=True):
        assert np.array_equal(resize(picture, Spec()), resize(decode(data, limits, view), Spec()))


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("10,20,300,200", (400, 300), (10, 20, 310, 220)),
        (" 10 , 20,300,200 ", (400, 300), (10, 20, 310, 220)),
        ("0%,0%,50%,100%", (401, 300), (0, 0, 200, 300)),
        ("25%,10,75%,90", (400, 100), (100, 10, 400, 100)),
        ("99.9%,99.9%,0.1%,0.1%", (10, 10), (9, 9, 10, 10)),
        ("33.3%,0,33.3%,1", (3, 1), (1, 0, 2, 1)),
        ("45.1%,0,101,10", (500, 10), (226, 0, 327, 10)),
        ("0,45.3%,10,102", (10, 500), (0, 226, 10, 328)),
        ("99.9%,0,1,10", (500, 10), (499, 0, 500, 10)),
    ],
)
def test_a_crop_is_in_pixels_or_shares(text, size, expected):
    assert Crop.parse(text).pixels(*size) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not x,y,width,height"),
        ("1,2,3", "is not x,y,width,height"),
        ("1,2,3,4,5", "is not x,y,width,height"),
        ("-1,2,3,4", "is not x,y,width,height"),
        ("1.5,2,3,4", "is not x,y,width,height"),
        ("1e3,2,3,4", "is not x,y,width,height"),
        ("a,b,c,d", "is not x,y,width,height"),
        ("0%,0%,101%,1%", "has a share over 100 %"),
        ("0,0,0,10", "is empty"),
        ("0,0,10,0%", "is empty"),
    ],
)
def test_a_crop_that_makes_no_sense_is_an_error(text, message):
    with pytest.raises(BadParameter, match=message):
        Crop.parse(text)


@pytest.mark.parametrize("text", ["0,0,401,10", "400,0,1,1", "60%,0,50%,10", "0,299,1,2"])
def test_a_crop_beyond_the_photo_is_an_error(scene, encode, limits, text):
    with pytest.raises(BadParameter, match=r"beyond the photo's 400 x 300 pixels"):
        decode(encode(scene(400, 300), "PNG"), limits, View(crop=Crop.parse(text)))


@pytest.mark.parametrize(("view", "expected"), [
    (CENTRE_SQUARE, (210, 60, 390, 240)),
    (View("stretch"), (60, 30, 540, 270)),
    (View("contain"), (60, -90, 540, 390)),
    (View("contain", crop=Crop.parse("100,0,300,300")), (130, 30, 370, 270)),
])  # fmt: skip
def test_a_part_of_the_canvas_is_found_on_the_photo(scene, encode, limits, view, expected):
    picture = decode(encode(scene(600, 300), "PNG"), limits, view)
    inner = 0.1 * CANVAS if view != CENTRE_SQUARE else 0.2 * CANVAS
    box = picture.on_photo((inner, inner, CANVAS - inner, CANVAS - inner))
    assert box == pytest.approx(expected)


def test_a_drawing_on_the_canvas_is_shown_in_the_photo_s_proportions(scene, encode, limits):
    image = scene(600, 300)
    data = encode(image, "PNG")
    expected = np.asarray(image.resize((480, 240), Image.Resampling.BICUBIC)).astype(int)
    for fit in ("stretch", "contain"):
        picture = decode(data, limits, View(fit))
        shown = picture.in_proportion(picture.canvas)
        assert shown.shape == (240, 480, 3)
        assert np.abs(shown - expected).mean() < 2
    square = decode(data, limits)
    assert square.in_proportion(square.canvas) is square.canvas


def test_the_memory_of_a_crop_counts_the_crop_and_not_the_photo(scene, encode, limits):
    data = encode(scene(3000, 1000), "PNG", compress_level=1)
    plain = read_header(data, limits).work.memory_bytes
    small, large = (
        read_header(data, limits, (View(crop=Crop.parse(text)),)).work.memory_bytes
        for text in ("0,0,100,100", "0,0,2900,1000")
    )
    assert plain <= small < plain + 1_000_000
    strip = encode(Image.new("L", (1, 1_000_000)), "PNG")
    limits = replace(limits, max_side=1_000_000)
    bare, whole = (
        read_header(strip, limits, (view,)).work.memory_bytes
        for view in (CENTRE_SQUARE, View("contain"))
    )
    assert whole >= bare + 32 * 1_000_000  # filter weights
    assert large >= plain + 4 * 2900 * 1000 - 4 * CANVAS * 1000
