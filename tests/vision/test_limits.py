import struct
import zlib
from functools import partial
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, WebPImagePlugin

from app.errors import BrokenImage, InputError, TooManyBytes, TooManyPixels
from app.vision import Limits, decode

SIDE = 50_000


def jpeg_of(width: int, height: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG")
    data = bytearray(file.getvalue())
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, height, width)
    return bytes(data)


def png_of(width: int, height: int, bits: int = 8, colour: int = 2) -> bytes:
    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def bmp_of(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 1054, 0, 0, 54) + info + bytes(1000)


def gif_of(screen: tuple[int, int], frame: tuple[int, int, int, int]) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6)
    dispose = b"!\xf9\x04\x08\0\0\0\0"  # to the background: Pillow then allocates on opening
    return head + dispose + b"," + struct.pack("<HHHHB", *frame, 0) + b"\2\1\x44\0;"


def webp_of(kind: bytes, width: int, height: int) -> bytes:
    """Build a WebP header; VP8X allows up to 2^24 pixels on a side, VP8 and VP8L 2^14."""
    if kind == b"VP8X":
        body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif kind == b"VP8L":
        body = b"\x2f" + ((height - 1) << 14 | (width - 1)).to_bytes(4, "little") + bytes(9)
    else:
        body = b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(10)
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


BOMBS = {
    "jpeg": jpeg_of(SIDE, SIDE),
    "png": png_of(SIDE, SIDE),
    "png-largest": png_of(2**31 - 1, 2**31 - 1),
    "bmp": bmp_of(SIDE, SIDE),
    "bmp-top-down": bmp_of(SIDE, -SIDE),
    "gif-screen": gif_of((SIDE, SIDE), (0, 0, 1, 1)),
    "gif-frame": gif_of((1, 1), (0, 0, SIDE, SIDE)),
    "gif-offset": gif_of((1, 1), (SIDE, SIDE, 1, 1)),
    "webp-extended": webp_of(b"VP8X", SIDE, SIDE),
    "webp-lossless": webp_of(b"VP8L", 16_000, 16_000),
    "webp-lossy": webp_of(b"VP8 ", 16_000, 16_000),
}


@pytest.fixture
def no_pixels(monkeypatch):
    """Fail the test when memory for an image is allocated."""

    def refuse(*_):
        pytest.fail("pixels were allocated")  # raises a BaseException, which no reader catches

    for name in ("new", "fill"):
        monkeypatch.setattr(Image.core, name, refuse)
    monkeypatch.setattr(WebPImagePlugin._webp, "WebPAnimDecoder", refuse)


@pytest.mark.usefixtures("no_pixels")
@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_a_header_that_announces_too_much_is_refused_before_any_pixel(limits, data):
    with pytest.raises(TooManyPixels, match=r"the limit is 50,000,000\. Send a smaller"):
        decode(data, limits)


@pytest.mark.parametrize("max_pixels", [10**8, 3 * 10**8, 10**12], ids="{:.0e}".format)
@pytest.mark.parametrize("format", ["gif-screen", "gif-frame", "webp-extended"])
def test_a_limit_above_pillows_own_raises_no_pillow_error(format, max_pixels):
    # Pillow warns from 89 million pixels on and raises from twice that; warnings are errors here.
    with pytest.raises(TooManyPixels):
        decode(BOMBS[format], Limits(max_bytes=1 << 20, max_pixels=max_pixels))


@pytest.mark.parametrize("width", [9500, 13500], ids=["pillow-warns", "pillow-raises"])
def test_a_limit_above_pillows_own_is_used(width):
    limits = Limits(max_bytes=1 << 30, max_pixels=10**9)
    file = BytesIO()
    Image.new("L", (width, width), 77).save(file, "PNG", compress_level=1)
    picture = decode(file.getvalue(), limits)
    assert (picture.width, picture.canvas.max()) == (width, 77)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_the_pixel_limit_itself_is_allowed(scene, encode, format):
    data = encode(scene(100, 50), format)
    assert decode(data, Limits(1 << 20, 5000)).width == 100
    with pytest.raises(TooManyPixels, match="100 x 50, which is 5,000 pixels; the limit is 4,999"):
        decode(data, Limits(1 << 20, 4999))


def test_the_byte_limit_itself_is_allowed(scene, encode):
    data = encode(scene(100, 50), "JPEG")
    assert decode(data, Limits(len(data), 5000)).width == 100
    with pytest.raises(TooManyBytes, match=f"has {len(data):,} bytes; the limit is"):
        decode(data, Limits(len(data) - 1, 5000))


def test_the_byte_limit_is_checked_before_the_format():
    with pytest.raises(TooManyBytes):
        decode(b"not an image", Limits(3, 5000))


@pytest.mark.parametrize(
    "header",
    [jpeg_of, png_of, partial(png_of, bits=16), partial(png_of, bits=16, colour=0), bmp_of],
    ids=["jpeg", "png", "png-16", "png-grey-16", "bmp"],
)
@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, 0), (0, 0)])
def test_an_image_without_pixels_is_broken(limits, header, width, height):
    with pytest.raises(InputError, match=r"Send it again|Save it anew"):
        decode(header(width, height), limits)


def test_a_palette_of_16_bits_is_broken(limits):
    with pytest.raises(BrokenImage, match="unknown type"):
        decode(png_of(10, 10, bits=16, colour=3), limits)


def test_an_image_of_one_long_row_is_read(encode, limits):
    canvas = decode(encode(Image.new("RGB", (65_000, 1), (1, 2, 3)), "JPEG"), limits).canvas
    assert np.abs(canvas.astype(int) - (1, 2, 3)).max() <= 2


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("size", [(3000, 1), (1, 3000)], ids=["wide", "tall"])
def test_a_side_over_the_limit_is_refused_by_the_header(scene, encode, format, size, monkeypatch):
    data = encode(scene(*size), format)
    assert decode(data, Limits(1 << 20, 10**6, max_side=3000)).width == size[0]
    monkeypatch.setattr(Image.core, "new", None)  # no pixel is decoded
    with pytest.raises(TooManyPixels, match=r"neither side may be over 2,999 pixels\. Send"):
        decode(data, Limits(1 << 20, 10**6, max_side=2999))
