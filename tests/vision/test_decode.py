import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from app.errors import UnsupportedFormat
from app.vision import CANVAS, decode

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(samples: np.ndarray, bits: int, colour: int, *, interlaced=False, extra=b"") -> bytes:
    """Build a PNG of (h, w, channels) samples from the specification alone."""
    height, width = samples.shape[:2]
    passes = [*ADAM7, (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]
    rows = b""
    for left, top, across, down in passes:
        part = samples[top::down, left::across]
        for row in part if part.shape[1] else ():
            if bits == 16:
                rows += b"\0" + row.astype(">u2").tobytes()
            else:
                digits = np.unpackbits(row.astype(np.uint8).reshape(-1, 1), axis=1)[:, 8 - bits :]
                rows += b"\0" + np.packbits(digits.reshape(-1)).tobytes()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows, 1))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def bmp(body: bytes, bits: int, compression=0, *, tables=b"", top_down=False) -> bytes:
    """Build a 480 x 480 BMP with the header of 40 bytes; tables are its masks or its palette."""
    offset = 14 + 40 + len(tables)
    colours = len(tables) // 4 if bits <= 8 else 0
    start = b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset)
    height = -CANVAS if top_down else CANVAS
    info = struct.pack("<IiiHHII", 40, CANVAS, height, 1, bits, compression, len(body))
    return start + info + struct.pack("<iiII", 0, 0, colours, 0) + tables + body


def over_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Flatten float colours 0..255 with alpha 0..1 onto white."""
    share = alpha[..., None] if alpha.ndim < colours.ndim else alpha
    return colours * share + 255 * (1 - share)


def max_difference(canvas: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(canvas.astype(np.float64) - expected).max())


@pytest.fixture
def pixels(scene):
    return np.asarray(scene(CANVAS, CANVAS))


@pytest.fixture
def alpha():
    """Every opacity, (480, 480) uint8."""
    return np.tile(np.linspace(0, 255, CANVAS).round().astype(np.uint8), (CANVAS, 1))


@pytest.mark.parametrize(
    "options",
    [
        {"subsampling": 0},
        {"subsampling": 1},
        {"subsampling": 2},
        {"quality": 40},
        {"progressive": True},
        {"optimize": True, "restart_marker_blocks": 4},
        {"keep_rgb": True},
    ],
    ids=["444", "422", "420", "q40", "progressive", "restarts", "rgb-components"],
)
def test_an_upright_480_rgb_jpeg_is_untouched(scene, encode, limits, tmp_path, options):
    file = tmp_path / "photo"
    file.write_bytes(encode(scene(CANVAS, CANVAS), "JPEG", **options))
    picture = decode(file.read_bytes(), limits)
    with Image.open(file) as expected:
        assert np.array_equal(picture.canvas, np.asarray(expected))
    assert (picture.format, picture.width, picture.height) == ("jpeg", CANVAS, CANVAS)


def test_a_jpeg_with_440_sampling_is_read(scene, encode, limits, tmp_path):
    data = encode(scene(CANVAS, CANVAS), "JPEG", subsampling=1)
    at = data.index(b"\xff\xc0") + 11
    assert data[at] == 0x21
    file = tmp_path / "photo"
    file.write_bytes(data[:at] + b"\x12" + data[at + 1 :])  # as many blocks, in another order
    with Image.open(file) as expected:
        assert np.array_equal(decode(file.read_bytes(), limits).canvas, np.asarray(expected))


@pytest.mark.parametrize(
    ("format", "options"),
    [("PNG", {}), ("WEBP", {"lossless": True, "method": 0}), ("BMP", {})],
    ids=["png", "webp", "bmp"],
)
def test_a_480_lossless_image_is_untouched(scene, encode, limits, format, options):
    image = scene(CANVAS, CANVAS)
    picture = decode(encode(image, format, **options), limits)
    assert np.array_equal(picture.canvas, np.asarray(image))
    assert picture.format == format.lower()


def test_the_canvas_is_contiguous_uint8(scene, encode, limits):
    canvas = decode(encode(scene(640, 480), "JPEG"), limits).canvas
    assert canvas.shape == (CANVAS, CANVAS, 3)
    assert canvas.dtype == np.uint8
    assert canvas.flags.c_contiguous


@pytest.mark.parametrize("interlaced", [False, True], ids=["rows", "adam7"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_grey_png_of_any_depth_is_read(pixels, limits, bits, interlaced):
    grey = (pixels[..., :1].astype(np.uint32) * 257) >> (16 - bits)
    canvas = decode(png(grey, bits, 0, interlaced=interlaced), limits).canvas
    assert max_difference(canvas, grey * (255 / (2**bits - 1))) <= 1


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("colour", [2, 4, 6], ids=["rgb", "grey-alpha", "rgba"])
def test_a_png_with_colour_or_alpha_of_any_depth_is_read(pixels, alpha, limits, colour, bits):
    parts = pixels[..., :1] if colour == 4 else pixels
    opacity = np.ones((CANVAS, CANVAS)) if colour == 2 else alpha / 255
    samples = parts if colour == 2 else np.concatenate([parts, alpha[..., None]], axis=-1)
    samples = samples.astype(np.uint32) * (257 if bits == 16 else 1)
    for interlaced in (False, True):
        canvas = decode(png(samples, bits, colour, interlaced=interlaced), limits).canvas
        assert max_difference(canvas, over_white(parts.astype(np.float64), opacity)) <= 1


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [False, True], ids=["opaque", "transparent"])
def test_a_palette_png_of_any_depth_is_read(limits, bits, transparent):
    rng = np.random.default_rng(bits)
    count = 2**bits
    palette = rng.integers(0, 256, (count, 3), dtype=np.uint8)
    opacity = rng.integers(0, 256, count, dtype=np.uint8)
    index = rng.integers(0, count, (CANVAS, CANVAS, 1))
    extra = chunk(b"PLTE", palette.tobytes())
    if transparent:
        extra += chunk(b"tRNS", opacity.tobytes())
    canvas = decode(png(index, bits, 3, extra=extra), limits).canvas
    shown = opacity / 255 if transparent else np.ones(count)
    colours = over_white(palette.astype(np.float64), shown[:, None])
    assert max_difference(canvas, colours[index[..., 0]]) <= 1


def test_one_transparent_colour_of_a_palette_png_becomes_white(limits):
    palette = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    index = np.indices((CANVAS, CANVAS)).sum(axis=0)[..., None] % 4
    extra = chunk(b"PLTE", palette.tobytes()) + chunk(b"tRNS", b"\xff\x00")
    canvas = decode(png(index, 2, 3, extra=extra), limits).canvas
    palette[1] = 255
    assert np.array_equal(canvas, palette[index[..., 0]])


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_grey_png_becomes_white(limits, bits):
    top = 2**bits - 1
    key = top // 3
    steps = np.tile(np.linspace(0, top, CANVAS).round().astype(np.int64), (CANVAS, 1))
    data = png(steps[..., None], bits, 0, extra=chunk(b"tRNS", struct.pack(">H", key)))
    expected = np.where(steps == key, 255, steps * (255 / top))
    assert max_difference(decode(data, limits).canvas, expected[..., None]) <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_the_transparent_colour_of_an_rgb_png_becomes_white(limits, bits):
    scale = 257 if bits == 16 else 1
    samples = np.zeros((CANVAS, CANVAS, 3), np.int64)
    samples[:, :240] = (10, 20, 30)
    samples[:, 240:] = (10, 20, 31)
    key = struct.pack(">HHH", 10 * scale, 20 * scale, 30 * scale)
    canvas = decode(png(samples * scale, bits, 2, extra=chunk(b"tRNS", key)), limits).canvas
    assert np.array_equal(canvas[0, 0], (255, 255, 255))
    assert np.array_equal(canvas[0, 479], (10, 20, 31))


def test_alpha_does_not_bleed_through_the_resize(encode, limits):
    # Opaque red beside transparent green: without premultiplication the edge would turn green.
    pixels = np.zeros((960, 960, 4), np.uint8)
    pixels[:, :481] = (255, 0, 0, 255)
    pixels[:, 481:] = (0, 255, 0, 0)
    canvas = decode(encode(Image.fromarray(pixels), "PNG"), limits).canvas.astype(int)
    assert np.abs(canvas[..., 1] - canvas[..., 2]).max() <= 1
    assert canvas[..., 0].min() >= 254


@pytest.mark.parametrize("lossless", [False, True], ids=["lossy", "lossless"])
def test_a_webp_with_alpha_is_flattened_onto_white(pixels, alpha, encode, limits, lossless):
    image = Image.fromarray(np.dstack([pixels, alpha]))
    data = encode(image, "WEBP", lossless=lossless, exact=True, quality=95, method=0)
    expected = over_white(pixels.astype(np.float64), alpha / 255)
    difference = np.abs(decode(data, limits).canvas - expected)
    assert difference.mean() < (0.3 if lossless else 4)
    assert not lossless or difference.max() <= 1


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_read(scene, encode, limits, format):
    frames = [Image.new("RGB", (CANVAS, CANVAS), (200, 10, 30)), scene(CANVAS, CANVAS)]
    data = encode(frames[0], format, save_all=True, append_images=frames[1:], lossless=True)
    picture = decode(data, limits)
    assert picture.format == format.lower()
    assert max_difference(picture.canvas, np.array([200, 10, 30])) == 0


def test_the_first_of_several_images_in_a_phones_jpeg_is_read(scene, encode, limits):
    first = scene(CANVAS, CANVAS)
    data = encode(first, "MPO", save_all=True, append_images=[Image.new("RGB", (320, 240))])
    picture = decode(data, limits)
    assert (picture.format, picture.width) == ("jpeg", CANVAS)
    assert np.array_equal(picture.canvas, decode(encode(first, "JPEG"), limits).canvas)


@pytest.mark.parametrize("interlaced", [False, True], ids=["rows", "interlaced"])
def test_a_palette_gif_is_read(scene, encode, limits, interlaced):
    image = scene(CANVAS, CANVAS).quantize(64)
    data = encode(image, "GIF", interlace=interlaced)
    assert np.array_equal(decode(data, limits).canvas, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("transparent", [False, True], ids=["opaque", "transparent"])
def test_a_gif_frame_smaller_than_its_screen_is_laid_on_white(encode, limits, transparent):
    index = np.ones((100, 120), np.uint8)
    index[:50] = 2
    frame = Image.fromarray(index)
    frame.putpalette([1, 2, 3, 200, 0, 0, 0, 0, 200])
    options = {"transparency": 2} if transparent else {}
    data = bytearray(encode(frame, "GIF", optimize=False, **options))
    struct.pack_into("<HH", data, 6, CANVAS, CANVAS)
    struct.pack_into("<HH", data, data.index(b",\0\0\0\0") + 1, 40, 60)
    expected = np.full((CANVAS, CANVAS, 3), 255)
    expected[110:160, 40:160] = (200, 0, 0)
    if not transparent:
        expected[60:110, 40:160] = (0, 0, 200)
    assert np.array_equal(decode(bytes(data), limits).canvas, expected)


def test_the_transparent_grey_of_a_grey_gif_becomes_white(alpha, encode, limits):
    data = encode(Image.fromarray(alpha), "GIF", transparency=100)
    expected = np.where(alpha == 100, 255, alpha)
    assert np.array_equal(decode(data, limits).canvas, np.dstack([expected] * 3))


@pytest.mark.parametrize("top_down", [False, True], ids=["bottom-up", "top-down"])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_a_palette_bmp_is_read(limits, bits, top_down):
    rng = np.random.default_rng(bits)
    palette = rng.integers(0, 256, (2**bits, 4), dtype=np.uint8)  # B, G, R, unused
    index = rng.integers(0, 2**bits, (CANVAS, CANVAS))
    digits = np.unpackbits(index.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
    rows = np.packbits(digits.reshape(CANVAS, -1), axis=-1)
    body = (rows if top_down else rows[::-1]).tobytes()
    data = bmp(body, bits, tables=palette.tobytes(), top_down=top_down)
    assert np.array_equal(decode(data, limits).canvas, palette[index][..., 2::-1])


@pytest.mark.parametrize(
    ("green_bits", "compression", "masks"),
    [(5, 0, b""), (6, 3, struct.pack("<III", 0xF800, 0x7E0, 0x1F))],
    ids=["555", "565"],
)
def test_a_16_bit_bmp_is_read(pixels, limits, green_bits, compression, masks):
    red, green, blue = np.moveaxis(pixels[::-1].astype(np.uint16), -1, 0)
    packed = (red >> 3) << (5 + green_bits) | (green >> (8 - green_bits)) << 5 | blue >> 3
    data = bmp(packed.astype("<u2").tobytes(), 16, compression, tables=masks)
    assert max_difference(decode(data, limits).canvas, pixels.astype(np.float64)) <= 8


@pytest.mark.parametrize("opacity", [0, 128, 255], ids=["unused-alpha", "half", "opaque"])
def test_alpha_of_a_32_bit_bmp_counts_only_where_its_header_announces_it(pixels, limits, opacity):
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    quads = np.dstack([pixels[::-1, :, ::-1], np.full((CANVAS, CANVAS), opacity, np.uint8)])
    plain = bmp(quads.tobytes(), 32)
    assert np.array_equal(decode(plain, limits).canvas, pixels)
    # The masks of a header of 56 bytes announce alpha.
    with_masks = bytearray(bmp(quads.tobytes(), 32, 3, tables=masks))
    struct.pack_into("<I", with_masks, 14, 56)
    shown = np.full((CANVAS, CANVAS), opacity / 255 if opacity else 1)
    canvas = decode(bytes(with_masks), limits).canvas
    assert max_difference(canvas, over_white(pixels.astype(np.float64), shown)) <= 1


@pytest.mark.parametrize("top_down", [False, True], ids=["bottom-up", "top-down"])
@pytest.mark.parametrize(("bits", "compression"), [(8, 1), (4, 2)], ids=["rle8", "rle4"])
def test_a_run_length_encoded_bmp_is_unsupported(limits, bits, compression, top_down):
    palette = bytes(4 * 2**bits)
    row = b"\xff\1\xe1\1\0\0"  # 255 + 225 pixels of colour 1, then the end of the row
    body = row * CANVAS + b"\0\1"
    data = bmp(body, bits, compression, tables=palette, top_down=top_down)
    with pytest.raises(UnsupportedFormat) as caught:
        decode(data, limits)
    assert caught.value.message == (
        "This BMP is run-length encoded, which is not read. Save it without compression, or as PNG."
    )


def test_a_bmp_with_the_header_of_os2_is_read(limits):
    # Its 12 bytes state no compression: the palette's bytes stand where other headers have it.
    palette = np.zeros((256, 3), np.uint8)  # B, G, R
    palette[1] = (9, 1, 0)
    rows = np.ones((CANVAS, CANVAS), np.uint8)
    start = b"BM" + struct.pack("<IHHI", 26 + palette.size + rows.size, 0, 0, 26 + palette.size)
    info = struct.pack("<IHHHH", 12, CANVAS, CANVAS, 1, 8)
    data = start + info + palette.tobytes() + rows.tobytes()
    assert data[30:34] == struct.pack("<I", 1)
    assert np.array_equal(np.unique(decode(data, limits).canvas), [0, 1, 9])


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (1, 5000), (5000, 1), (2, 3), (479, 481), (4000, 3000)]
)
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_an_image_of_any_shape_gives_a_canvas(encode, limits, format, width, height):
    picture = decode(encode(Image.new("RGB", (width, height), (9, 99, 199)), format), limits)
    assert (picture.width, picture.height) == (width, height)
    assert max_difference(picture.canvas, np.array([9, 99, 199])) <= 2


@pytest.mark.parametrize(("width", "height"), [(700, 500), (500, 701), (481, 480)], ids=str)
def test_the_canvas_is_the_centre_square(scene, encode, limits, width, height):
    image = scene(width, height)
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    expected = image.resize(
        (CANVAS, CANVAS), Image.Resampling.BICUBIC, (left, top, left + side, top + side)
    )
    canvas = decode(encode(image, "PNG"), limits).canvas
    # The tolerance allows another filter, but no other square.
    assert np.abs(canvas.astype(int) - np.asarray(expected)).mean() < 2


@pytest.mark.parametrize(
    "size", [(960, 960), (961, 1203), (1999, 1501), (4000, 3000), (3841, 3850)], ids=str
)
def test_a_jpeg_decoded_at_a_smaller_scale_is_close_to_the_full_one(scene, encode, limits, size):
    image = scene(*size)
    scaled = decode(encode(image, "JPEG", quality=95, progressive=size[0] % 2), limits)
    full = decode(encode(image, "PNG", compress_level=1), limits)
    assert (scaled.width, scaled.height) == size
    difference = np.abs(scaled.canvas.astype(int) - full.canvas)
    assert difference.mean() < 1.0
    # A shift by a quarter of a pixel would show at the hard edges.
    assert np.percentile(difference, 99.5) < 25


@pytest.mark.parametrize("kind", ["L", "CMYK"])
def test_grey_and_cmyk_jpegs_are_decoded_at_a_smaller_scale_too(scene, encode, limits, kind):
    image = scene(2000, 1600).convert(kind)
    canvas = decode(encode(image, "JPEG", quality=95), limits).canvas
    full = decode(encode(image.convert("RGB"), "PNG", compress_level=1), limits).canvas
    assert np.abs(canvas.astype(int) - full).mean() < 1.5
