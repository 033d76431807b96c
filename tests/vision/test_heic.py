"""HEIC is read with pillow-heif, within what its boxes and HEVC announce; without, it is named."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from app.errors import BrokenImage, InputError, TooManyPixels, UnsupportedFormat
from app.vision import CANVAS, Limits, decode, read_header
from app.vision.formats.heif import heic as reader
from app.vision.formats.heif.heic import open_heic
from app.vision.formats.heif.hevc import read_hevc
from app.vision.formats.heif.items import read_items

pillow_heif = pytest.importorskip("pillow_heif")


@pytest.fixture(scope="module")
def encode_heic():
    def encode(image: Image.Image, **options) -> bytes:
        file = BytesIO()
        options = {"quality": 95, "chroma": 444, **options}
        pillow_heif.from_pillow(image).save(file, **options)
        return file.getvalue()

    return encode


@pytest.fixture(scope="module")
def photo(scene, encode_heic) -> bytes:
    return encode_heic(scene(96, 64))


def mean_difference(canvas: np.ndarray, expected: object) -> float:
    return float(np.abs(canvas.astype(int) - np.asarray(expected)).mean())


@pytest.mark.parametrize("options", [{}, {"tile_size": 256}], ids=["one", "grid"])
def test_rgb_is_read(scene, encode_heic, limits, options):
    image = scene(CANVAS, CANVAS)
    picture = decode(encode_heic(image, **options), limits)
    assert mean_difference(picture.canvas, image) < 2
    assert (picture.format, picture.width, picture.height) == ("heic", CANVAS, CANVAS)


def test_grey_and_alpha_are_read(scene, encode_heic, limits):
    grey = scene(CANVAS, CANVAS).convert("L")
    canvas = decode(encode_heic(grey), limits).canvas
    assert mean_difference(canvas, grey.convert("RGB")) < 2
    image = scene(CANVAS, CANVAS)
    image.putalpha(128)
    expected = np.asarray(image.convert("RGB")) * (128 / 255) + 127
    assert mean_difference(decode(encode_heic(image), limits).canvas, expected) < 2


@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
def test_it_is_turned_once(scene, encode, encode_heic, limits, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = exif.tobytes()
    expected = decode(encode(scene(480, 300), "PNG", exif=data), limits)
    picture = decode(encode_heic(scene(480, 300), exif=data), limits)
    assert (picture.width, picture.height) == (expected.width, expected.height)
    assert mean_difference(picture.canvas, expected.canvas) < 2


def test_more_than_8_bits_are_rounded(limits):
    file = BytesIO()
    levels = np.tile(np.linspace(0, 65535, CANVAS).astype(np.uint16), (CANVAS, 1))
    pillow_heif.encode("L;16", (CANVAS, CANVAS), levels.tobytes(), file, quality=-1)
    canvas = decode(file.getvalue(), limits).canvas
    assert np.abs(canvas - (levels / 257)[..., None]).max() <= 1


def test_without_pillow_heif_the_error_says_so(photo, limits, monkeypatch):
    monkeypatch.setattr(reader, "_libheif", lambda: None)
    with pytest.raises(UnsupportedFormat, match=r"This is HEIC, .* lacks pillow-heif\. Convert"):
        open_heic(photo, limits)


# Hostile files


def hevc_of(data: bytes):
    items = read_items(data, "HEIC").by_id.values()
    return next((item.first("hvcC"), item.content) for item in items if item.kind == "hvc1")


def test_the_size_that_hevc_announces_is_read(photo, scene, encode_heic):
    config, content = hevc_of(photo)
    assert read_hevc(config, content).size == (96, 64)
    smaller = hevc_of(encode_heic(scene(64, 64)))
    # The parameter sets of another picture, in the item itself, count as well.
    units = struct.pack(">I", 2) + b"\x4e\1" + content
    assert read_hevc(smaller[0], units).size == (64, 64)


@pytest.mark.parametrize("config", [b"", bytes(30), b"\1" * 22 + b"\1\x21\xff\xff"])
def test_parameter_sets_that_lie_are_broken(config, photo):
    with pytest.raises(BrokenImage, match="HEIC"):
        read_hevc(config, hevc_of(photo)[1])


def test_too_many_units_or_pictures_are_broken(photo):
    config, content = hevc_of(photo)
    with pytest.raises(BrokenImage):
        read_hevc(config, (struct.pack(">I", 3) + b"\x4e\1\0") * 3000)
    with pytest.raises(BrokenImage):
        read_hevc(config, content + (struct.pack(">I", 3) + b"\x26\1\x80") * 9)


def test_a_bomb_is_refused_before_any_decoder(photo, limits, monkeypatch):
    at = photo.index(b"ispe") + 8
    data = photo[:at] + struct.pack(">II", 65_000, 65_000) + photo[at + 8 :]
    monkeypatch.setattr(pillow_heif, "open_heif", None)
    with pytest.raises(TooManyPixels, match="65000 x 65000"):
        read_header(data, limits)
    with pytest.raises(TooManyPixels, match="96 x 64"):
        read_header(photo, Limits(1 << 20, 96 * 63))


def test_a_file_that_is_cut_short_is_refused(photo, limits):
    for length in range(16, len(photo) - 40, 97):
        with pytest.raises(InputError):
            decode(photo[:length], limits)
