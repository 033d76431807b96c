import struct

import numpy as np
import pytest
from PIL import Image

from app.vision import CANVAS, decode
from app.vision.formats.exif import read_orientation

# How a camera stores an upright image, by the orientation that it writes.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
}
SIZES = [(480, 480), (700, 500), (333, 801), (1, 1), (501, 500)]


def tiff(value: int, order: str = "<", tag: int = 0x0112, kind: int = 3, count: int = 1) -> bytes:
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", tag, kind, count, value, 0)
    return head + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


def stored(upright: Image.Image, value: int) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(STORED[value](np.asarray(upright))))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_all_eight_orientations_of_a_lossless_image_give_the_same_canvas(
    scene, encode, limits, format, size
):
    upright = scene(*size)
    options = {"lossless": True, "method": 0} if format == "WEBP" else {}
    expected = decode(encode(upright, format, **options), limits)
    for value in STORED:
        data = encode(stored(upright, value), format, exif=b"Exif\0\0" + tiff(value), **options)
        picture = decode(data, limits)
        assert np.array_equal(picture.canvas, expected.canvas), value
        assert (picture.width, picture.height) == size


@pytest.mark.parametrize(("width", "height"), [(480, 480), (700, 500), (2005, 1203)], ids=str)
def test_all_eight_orientations_of_a_photo_give_nearly_the_same_canvas(
    scene, encode, limits, width, height
):
    upright = scene(width, height)
    expected = decode(encode(upright, "JPEG", quality=95), limits).canvas.astype(int)
    for value in STORED:
        data = encode(stored(upright, value), "JPEG", quality=95, exif=b"Exif\0\0" + tiff(value))
        picture = decode(data, limits)
        assert np.abs(picture.canvas - expected).mean() < 0.6, value
        assert (picture.width, picture.height) == (width, height)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"], ids=["bare", "prefixed"])
def test_the_orientation_is_read(prefix, value, order):
    assert read_orientation(prefix + tiff(value, order)) == value


@pytest.mark.parametrize(
    "exif",
    [
        None,
        b"",
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"nonsense",
        tiff(6)[:15],
        tiff(0),
        tiff(9),
        tiff(65535),
        tiff(6, kind=2),
        tiff(6, count=2),
        tiff(6, tag=0x0110),
        b"II*\0" + struct.pack("<I", 0xFFFFFFFF),
        b"II*\0" + struct.pack("<IH", 8, 65535),
    ],
)
def test_missing_or_broken_exif_means_upright(exif):
    assert read_orientation(exif) == 1


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff", b"Exif\0\0" + tiff(6)[:14]])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_is_ignored(scene, encode, limits, format, exif):
    picture = decode(encode(scene(500, 400), format, exif=exif), limits)
    assert (picture.width, picture.height) == (500, 400)
    assert picture.canvas.shape == (CANVAS, CANVAS, 3)
