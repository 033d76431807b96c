"""Metadata is removed, and the pixels are the same."""

import struct
import zlib
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from app import vision
from app.errors import HubelError, QueueFull
from app.memory_budget import MemoryBudget
from app.vision.metadata import without_metadata

LIMITS = vision.Limits(10**7, 10**7, 65_535)
SECRET = b"48.8584 N 2.2945 E"
FORMATS = ["jpeg", "png", "webp", "gif", "tiff", "avif", "bmp"]


def photo(format, orientation=1, **options):
    """Return a file that says SECRET wherever its format can."""
    pixels = np.random.default_rng(0).integers(0, 255, (24, 40, 3), np.uint8)
    image = Image.fromarray(np.repeat(np.repeat(pixels, 4, 0), 4, 1))
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif[0x0112] = orientation
    exif.get_ifd(0x8825)[1] = "N"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", SECRET.decode())
    more = {
        "jpeg": {"exif": exif, "comment": SECRET, "xmp": SECRET, "quality": 90},
        "png": {"exif": exif, "pnginfo": text},
        "webp": {"exif": exif, "xmp": SECRET},
        "gif": {"comment": SECRET},
        "tiff": {"exif": exif},
        "avif": {"exif": exif, "xmp": SECRET},
        "bmp": {},
    }[format]
    if format == "gif":
        image = image.quantize(64)
    file = BytesIO()
    image.save(file, format, **more, **options)
    return file.getvalue()


def canvas(data):
    return vision.decode(data, LIMITS).canvas


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_is_said_any_more_and_the_pixels_are_the_same(format):
    data = photo(format)
    assert format == "bmp" or SECRET in data
    stripped, kept_as = without_metadata(data, LIMITS)
    assert SECRET not in stripped
    assert kept_as == ("png" if format in ("tiff", "avif", "bmp") else format)
    np.testing.assert_array_equal(canvas(stripped), canvas(data))
    with Image.open(BytesIO(stripped)) as image:
        assert not set(image.getexif()) - {0x0112}
        assert not set(image.info) & {"comment", "xmp", "Comment"}


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "tiff"])
def test_the_photo_stays_upright(format, orientation):
    data = photo(format, orientation)
    stripped, _ = without_metadata(data, LIMITS)
    np.testing.assert_array_equal(canvas(stripped), canvas(data))


def test_the_colour_profile_stays():
    profile = (b"profile" * 20_000)[:100_000]  # two segments in a JPEG
    for format in ("jpeg", "webp"):
        stripped, _ = without_metadata(photo(format, icc_profile=profile), LIMITS)
        with Image.open(BytesIO(stripped)) as image:
            assert image.info["icc_profile"] == profile


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_blocks": 1}])
def test_scans_and_restarts_of_a_jpeg_stay(options):
    data = photo("jpeg", **options)
    stripped, _ = without_metadata(data, LIMITS)
    np.testing.assert_array_equal(canvas(stripped), canvas(data))


def test_a_second_image_behind_the_photo_is_removed():
    data = photo("jpeg") + photo("jpeg")
    stripped, _ = without_metadata(data, LIMITS)
    assert SECRET not in stripped
    assert stripped.endswith(b"\xff\xd9")
    assert len(stripped) < len(data) / 2


def test_an_unended_jpeg_stays_readable():
    data = photo("jpeg")[:-2]
    stripped, _ = without_metadata(data, LIMITS)
    assert SECRET not in stripped
    np.testing.assert_array_equal(canvas(stripped), canvas(data))


def test_unknown_parts_of_a_png_are_removed():
    data = photo("png")
    private = b"prIv" + SECRET
    chunk = struct.pack(">I", len(SECRET)) + private + struct.pack(">I", zlib.crc32(private))
    stripped, _ = without_metadata(data[:33] + chunk + data[33:] + SECRET, LIMITS)
    assert SECRET not in stripped


def test_an_animation_keeps_its_frames():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    for format in ("gif", "webp", "png"):
        file = BytesIO()
        frames[0].save(file, format, save_all=True, append_images=frames[1:], duration=90, loop=0)
        stripped, _ = without_metadata(file.getvalue(), LIMITS)
        with Image.open(BytesIO(stripped)) as image:
            assert image.n_frames == 3


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "gif"])
def test_a_file_that_ends_early_raises_no_other_error(format):
    data = photo(format)
    for length in range(4, len(data), max(1, len(data) // 300)):
        with suppress(HubelError):
            without_metadata(data[:length], LIMITS)


def test_a_thumbnail_of_jfif_is_removed():
    data = photo("jpeg")
    start = data.index(b"JFIF\0") - 4
    length = struct.unpack(">H", data[start + 2 : start + 4])[0]
    with_thumbnail = data[start + 4 : start + 2 + length - 2] + b"\x01\x06" + SECRET
    segment = b"\xff\xe0" + struct.pack(">H", len(with_thumbnail) + 2) + with_thumbnail
    stripped, _ = without_metadata(data[:start] + segment + data[start + 2 + length :], LIMITS)
    assert SECRET not in stripped
    np.testing.assert_array_equal(canvas(stripped), canvas(data))


def test_parts_inside_of_an_animation_are_removed():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    file = BytesIO()
    frames[0].save(file, "gif", save_all=True, append_images=frames[1:], loop=0)
    data = file.getvalue()
    at = data.index(b"NETSCAPE2.0") + 11 + 4
    stripped, _ = without_metadata(data[:at] + bytes([len(SECRET)]) + SECRET + data[at:], LIMITS)
    assert SECRET not in stripped
    with Image.open(BytesIO(stripped)) as image:
        assert (image.n_frames, image.info["loop"]) == (2, 0)

    file = BytesIO()
    frames[0].save(file, "webp", save_all=True, append_images=frames[1:], lossless=True)
    data = file.getvalue()
    at = data.index(b"ANMF")
    length = struct.unpack("<I", data[at + 4 : at + 8])[0]
    secret = b"EXIF" + struct.pack("<I", len(SECRET)) + SECRET
    frame = data[at + 8 : at + 8 + length] + secret
    longer = data[: at + 4] + struct.pack("<I", len(frame)) + frame + data[at + 8 + length :]
    longer = longer[:4] + struct.pack("<I", len(longer) - 8) + longer[8:]
    stripped, _ = without_metadata(longer, LIMITS)
    assert SECRET not in stripped
    with Image.open(BytesIO(stripped)) as image:
        assert image.n_frames == 2


def test_decoding_takes_its_memory_from_the_budget():
    memory = MemoryBudget(10**8)
    assert without_metadata(photo("tiff"), LIMITS, memory)[1] == "png"
    assert memory.held_bytes == 0
    assert memory.try_take(10**8 - 1000)
    with pytest.raises(QueueFull):
        without_metadata(photo("tiff"), LIMITS, memory)
