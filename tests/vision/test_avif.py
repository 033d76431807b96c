"""AVIF of every kind is read, and what its boxes and AV1 announce is checked before a decoder."""

import struct
import threading
from io import BytesIO

import numpy as np
import pytest
from PIL import AvifImagePlugin, Image

from app.errors import BrokenImage, InputError, TooManyPixels, UnsupportedFormat
from app.vision import CANVAS, Limits, decode, read_header
from app.vision.formats.heif.av1 import read_av1
from app.vision.formats.heif.items import read_items

LOSSLESS = {"quality": 100, "subsampling": "4:4:4", "speed": 10}


@pytest.fixture(scope="module")
def photo(scene, encode) -> bytes:
    return encode(scene(96, 64), "AVIF", speed=10)


def max_difference(canvas: np.ndarray, expected: np.ndarray) -> int:
    return int(np.abs(canvas.astype(int) - expected).max())


def test_rgb_is_read(scene, encode, limits):
    image = scene(CANVAS, CANVAS)
    picture = decode(encode(image, "AVIF", **LOSSLESS), limits)
    assert max_difference(picture.canvas, np.asarray(image)) <= 3
    assert (picture.format, picture.width, picture.height) == ("avif", CANVAS, CANVAS)


def test_the_pixels_are_those_of_pillows_plugin(scene, encode, limits):
    data = encode(scene(CANVAS, CANVAS), "AVIF", speed=10, subsampling="4:2:0")
    with Image.open(BytesIO(data)) as expected:
        assert np.array_equal(decode(data, limits).canvas, np.asarray(expected))


def test_grey_and_alpha_are_read(scene, encode, limits):
    grey = scene(CANVAS, CANVAS).convert("L")
    canvas = decode(encode(grey, "AVIF", **LOSSLESS), limits).canvas
    assert max_difference(canvas, np.asarray(grey.convert("RGB"))) <= 3
    image = scene(CANVAS, CANVAS)
    image.putalpha(128)
    canvas = decode(encode(image, "AVIF", **LOSSLESS), limits).canvas
    expected = np.asarray(image.convert("RGB")) * (128 / 255) + 127
    assert np.abs(canvas - expected).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_as_its_properties_say(scene, encode, limits, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = exif.tobytes()
    expected = decode(encode(scene(480, 300), "PNG", exif=turned), limits)
    picture = decode(encode(scene(480, 300), "AVIF", exif=turned, **LOSSLESS), limits)
    assert (picture.width, picture.height) == (expected.width, expected.height)
    assert np.abs(picture.canvas.astype(int) - expected.canvas).mean() < 1


def test_a_sequence_is_read_as_its_first_picture(scene, encode, limits):
    frames = [scene(64, 48), Image.new("RGB", (64, 48))]
    data = encode(frames[0], "AVIF", save_all=True, append_images=frames[1:], **LOSSLESS)
    assert b"avis" in data[:40]
    expected = decode(encode(frames[0], "PNG"), limits).canvas
    assert np.abs(decode(data, limits).canvas.astype(int) - expected).mean() < 2


def test_a_profile_applies(scene, encode, limits):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert decode(encode(scene(64, 64), "AVIF", icc_profile=profile), limits).icc == profile


def test_one_thread_decodes(photo, limits, monkeypatch):
    monkeypatch.setattr(AvifImagePlugin, "AvifImageFile", None)
    before = threading.active_count()
    decode(photo, limits)
    assert threading.active_count() == before


# Hostile files


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def with_sequence_header(data: bytes, width: int, height: int) -> bytes:
    """Return a file whose AV1 announces another size, in as many bits as before."""
    payload = next(item.content for item in read_items(data, "AVIF").by_id.values()
                   if item.kind == "av01")  # fmt: skip
    assert payload[0] >> 3 & 15 == 1 or payload[0] >> 3 & 15 == 2
    at = data.index(payload)
    start = at + (2 if payload[0] >> 3 & 15 == 2 else 0) + 2
    bits = int.from_bytes(data[start : start + 12], "big")
    total = 96
    is_reduced = bits >> (total - 5) & 1
    assert is_reduced
    width_bits = (bits >> (total - 14) & 15) + 1
    height_bits = (bits >> (total - 18) & 15) + 1
    shift = total - 18 - width_bits
    bits = bits & ~(((1 << width_bits) - 1) << shift) | (width - 1) << shift
    shift -= height_bits
    bits = bits & ~(((1 << height_bits) - 1) << shift) | (height - 1) << shift
    return data[:start] + bits.to_bytes(12, "big") + data[start + 12 :]


def test_the_size_that_av1_announces_counts(photo):
    item = next(item for item in read_items(photo, "AVIF").by_id.values() if item.kind == "av01")
    assert item.size == read_av1(item.content).size == (96, 64)
    larger = with_sequence_header(photo, 128, 64)
    with pytest.raises(TooManyPixels, match="128 x 64"):
        read_header(larger, Limits(1 << 20, 96 * 64))
    roomy = Limits(1 << 20, 10**6)
    assert read_header(larger, roomy).work.cost > read_header(photo, roomy).work.cost


def test_a_bomb_is_refused_before_any_decoder(photo, limits, monkeypatch):
    monkeypatch.setattr("app.vision.formats.heif.avif._avif", None)
    at = photo.index(b"ispe") + 8
    data = photo[:at] + struct.pack(">II", 65_536, 65_536) + photo[at + 8 :]
    with pytest.raises(TooManyPixels, match="65536 x 65536"):
        read_header(data, limits)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (b"iinf", lambda content: content[:4] + b"\xff\xff" + content[6:]),
        (b"iloc", lambda content: content[:6] + b"\xff\xff" + content[8:]),
        (b"iloc", lambda content: content[:-4] + b"\x7f\xff\xff\xff"),
        (b"pitm", lambda content: content[:4] + b"\x00\x09"),
    ],
    ids=["items", "places", "length", "primary"],
)
def test_tables_that_lie_are_refused_before_any_decoder(photo, limits, monkeypatch, kind, change):
    monkeypatch.setattr("app.vision.formats.heif.avif._avif", None)
    at = photo.index(kind) + 4
    length = struct.unpack_from(">I", photo, at - 8)[0] - 8
    data = photo[:at] + change(photo[at : at + length]) + photo[at + length :]
    with pytest.raises(BrokenImage, match="AVIF"):
        read_header(data, limits)


def test_too_many_boxes_units_and_frames_are_refused(photo, limits):
    with pytest.raises(BrokenImage, match="boxes"):
        read_header(photo + box(b"free", b"") * 5000, limits)
    item = next(item for item in read_items(photo, "AVIF").by_id.values() if item.kind == "av01")
    with pytest.raises(BrokenImage):
        read_av1(item.content + b"\x12\0" * 3000)
    with pytest.raises(BrokenImage):
        read_av1(item.content + b"\x32\1\0" * 9)
    with pytest.raises(BrokenImage):
        read_av1(b"\x12\0")


@pytest.mark.parametrize("box_", [box(b"meta", bytes(4)), b"\0\0\0\1meta" + b"\xff" * 8, b""])
def test_a_file_without_items_is_broken(limits, box_):
    data = box(b"ftyp", b"avif\0\0\0\0avif") + box_
    with pytest.raises(InputError):
        read_header(data, limits)


def test_another_main_picture_is_unsupported(photo, limits):
    with pytest.raises(UnsupportedFormat, match="main picture"):
        read_header(photo.replace(b"infe\2\0\0\0\0\1\0\0av01", b"infe\2\0\0\0\0\1\0\0iovl"), limits)
