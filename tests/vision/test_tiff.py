"""TIFF of every kind of samples and layout is read; other kinds are named."""

import struct
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from app.errors import BrokenImage, TooManyPixels, UnsupportedFormat
from app.vision import CANVAS, Limits, decode, read_header
from app.vision.formats.sixteen_bits import to_8_bits
from benchmarks.hardening.tiff_images import Kind, tiff

SMALL = (32, 24)


@pytest.fixture(scope="module")
def deep():
    """Samples of 16 bits, of which both bytes count: (480, 480, 3) uint16."""
    y, x = np.mgrid[0:CANVAS, 0:CANVAS]
    return np.stack([137 * x, 65535 - 91 * y, 61 * (x + y)], axis=-1).astype(np.uint16)


def tiff_of(samples: np.ndarray, *, order="<", photometric=2, extra=None, planar=False, tags=()):
    """Build an uncompressed TIFF of (h, w, n) uint8 or uint16 from the specification alone."""
    height, width, count = samples.shape
    data = samples.astype(samples.dtype.newbyteorder(order))
    planes = [data[..., n] for n in range(count)] if planar else [data]
    strips = [plane.tobytes() for plane in planes]
    offsets = np.cumsum([8, *map(len, strips)]).tolist()
    numbers = {256: [width], 257: [height], 258: [8 * samples.itemsize] * count, 259: [1]}
    numbers |= {262: [photometric], 273: offsets[:-1], 277: [count], 278: [height]}
    numbers |= {279: [len(strip) for strip in strips], 284: [1 + planar], **dict(tags)}
    if extra is not None:
        numbers[338] = [extra]
    end, entries, outside = offsets[-1], b"", b""
    for tag, values in sorted(numbers.items()):
        content = struct.pack(f"{order}{len(values)}I", *values)
        if len(content) > 4:
            place = end + 2 + 12 * len(numbers) + 4 + len(outside)
            outside, content = outside + content, struct.pack(order + "I", place)
        entries += struct.pack(order + "HHI", tag, 4, len(values)) + content
    mark = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "H", len(numbers)) + entries + bytes(4) + outside
    return mark + struct.pack(order + "I", end) + b"".join(strips) + directory


def over_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return colours * alpha + 255 * (1 - alpha)


def max_difference(canvas: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(canvas.astype(np.float64) - expected).max())


def test_every_sample_of_16_bits_is_rounded_to_the_nearest_of_8():
    samples = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_8_bits(samples), np.round(samples / 257))


@pytest.mark.parametrize("planar", [False, True], ids=["contiguous", "planar"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
def test_rgb_of_16_bits_is_rounded(deep, limits, order, planar):
    picture = decode(tiff_of(deep, order=order, planar=planar), limits)
    assert np.array_equal(picture.canvas, np.round(deep / 257))
    assert (picture.format, picture.width, picture.height) == ("tiff", CANVAS, CANVAS)


@pytest.mark.parametrize("photometric", [0, 1], ids=["white-is-zero", "black-is-zero"])
@pytest.mark.parametrize("bits", [8, 16])
def test_grey_is_read(deep, limits, photometric, bits):
    grey = deep[..., :1] if bits == 16 else (deep[..., :1] >> 8).astype(np.uint8)
    levels = np.round(grey / (257 if bits == 16 else 1))
    canvas = decode(tiff_of(grey, photometric=photometric), limits).canvas
    assert max_difference(canvas, levels if photometric else 255 - levels) <= (bits == 16)


@pytest.mark.parametrize("planar", [False, True], ids=["contiguous", "planar"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("extra", [0, 1, 2], ids=["no-alpha", "associated", "unassociated"])
@pytest.mark.parametrize("count", [1, 3], ids=["grey", "rgb"])
def test_alpha_is_over_white_and_divided_out_where_it_was_multiplied(
    deep, limits, count, extra, bits, planar
):
    top = 65535 if bits == 16 else 255
    alpha = np.linspace(0.3, 1, CANVAS)[None, :, None] * np.ones((CANVAS, 1, 1))
    colours = deep[..., :count] / 65535
    stored = colours * alpha if extra == 1 else colours
    samples = np.round(np.concatenate([stored, alpha], axis=-1) * top)
    data = tiff_of(
        samples.astype(np.uint16 if bits == 16 else np.uint8),
        photometric=2 if count == 3 else 1,
        extra=extra,
        planar=planar,
    )
    expected = 255 * colours if extra == 0 else over_white(255 * colours, alpha)
    assert max_difference(decode(data, limits).canvas, expected) <= 2


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True], ids=["contiguous", "planar"])
def test_cmyk_has_no_ink_at_zero(deep, limits, bits, planar):
    inks = np.concatenate([deep, deep[..., :1] // 3], axis=-1)
    inks = inks if bits == 16 else (inks >> 8).astype(np.uint8)
    canvas = decode(tiff_of(inks, photometric=5, planar=planar), limits).canvas
    shares = inks / (65535 if bits == 16 else 255)
    assert max_difference(canvas, 255 * (1 - shares[..., :3]) * (1 - shares[..., 3:])) <= 2


@pytest.mark.parametrize("extra", [2, 3], ids=["one-more", "two-more"])
def test_samples_beside_rgb_and_alpha_are_ignored(deep, limits, extra):
    samples = np.concatenate([deep, np.full((CANVAS, CANVAS, extra), 65535, np.uint16)], axis=-1)
    for data in (samples, (samples >> 8).astype(np.uint8)):
        canvas = decode(tiff_of(data, extra=2), limits).canvas
        assert max_difference(canvas, deep / 257) <= 1


@pytest.mark.parametrize(
    "options",
    [
        {"compression": None}, {"compression": "tiff_lzw"}, {"compression": "tiff_deflate"},
        {"compression": "tiff_adobe_deflate"}, {"compression": "packbits"},
        {"compression": "tiff_lzw", "tiffinfo": {317: 2}},
        {"compression": "tiff_adobe_deflate", "tiffinfo": {278: 7}}, {"big_tiff": True},
    ],
    ids=["none", "lzw", "deflate", "adobe-deflate", "packbits", "lzw-differences", "strips-of-7",
         "BigTIFF"],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA", "CMYK"])
def test_what_pillow_writes_is_read_to_the_pixel(scene, encode, limits, mode, options):
    if mode == "1" and "tiffinfo" in options:
        options = {"compression": "tiff_lzw"}  # differences need 8 bits
    image = scene(CANVAS, CANVAS).convert(mode)
    if "A" in mode:
        image.putalpha(255)
    canvas = decode(encode(image, "TIFF", **options), limits).canvas
    assert max_difference(canvas, np.asarray(image.convert("RGB"))) <= (mode == "P")


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_a_fax_is_read(scene, encode, limits, compression):
    image = scene(CANVAS, CANVAS).convert("1")
    canvas = decode(encode(image, "TIFF", compression=compression), limits).canvas
    assert np.array_equal(canvas, np.asarray(image.convert("RGB")))


def test_a_jpeg_inside_is_read(scene, encode, limits):
    image = scene(CANVAS, CANVAS)
    data = encode(image, "TIFF", compression="jpeg", quality=95)
    assert np.abs(decode(data, limits).canvas - np.asarray(image, np.int16)).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("bits", [8, 16])
def test_the_orientation_of_the_picture_turns_it(deep, limits, encode, orientation, bits):
    samples = (deep[:300] // 257).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = decode(encode(Image.fromarray(samples), "PNG", exif=exif), limits)
    stored = samples if bits == 8 else samples * np.uint16(257)
    picture = decode(tiff_of(stored, tags={274: [orientation]}.items()), limits)
    assert (picture.width, picture.height) == (expected.width, expected.height)
    assert np.array_equal(picture.canvas, expected.canvas)


def test_the_first_page_is_read(scene, encode, limits):
    pages = [scene(64, 48), Image.new("RGB", (500, 500)), Image.new("L", (10, 10))]
    data = encode(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert np.array_equal(
        decode(data, limits).canvas, decode(encode(pages[0], "TIFF"), limits).canvas
    )


def test_a_profile_applies_to_tiff(scene, encode, limits):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    image = scene(CANVAS, CANVAS)
    assert decode(encode(image, "TIFF", icc_profile=profile), limits).icc == profile


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Kind(bits=32), "32 bits"),
        (Kind(1, 1, 12), "12 bits"),
        (Kind(8), "CIELab"),
        (Kind(32803, 1, 16), "raw sensor data"),
        (Kind(3, 2, 8, alpha=2), "2 samples of 8 bits"),
        (Kind(samples=7), "4 samples a pixel beside its colours"),
        (Kind(1, 1, 8, tags={259: [6]}), "JPEG of the old kind"),
        (Kind(1, 1, 8, tags={259: [50000]}), "Zstandard"),
        (Kind(1, 1, 8, tags={259: [34925]}), "LZMA"),
        (Kind(1, 1, 8, tags={259: [12345]}), "kind 12345"),
        (Kind(1, 1, 16, tags={339: [3]}), "floating-point"),
        (Kind(1, 1, 16, tags={339: [2]}), "signed"),
        (Kind(1, 1, 16, tags={317: [3]}), "predictor"),
        (Kind(6, 3, 8, planar=True), "stored apart"),
    ],
)
def test_a_kind_that_is_not_read_is_named(limits, kind, reason):
    with pytest.raises(UnsupportedFormat, match=rf"This TIFF is of a kind .*{reason}.*\."):
        decode(tiff(SMALL, kind), limits)


@pytest.mark.parametrize(
    "tags", [{50706: [1, 4, 0, 0]}, {254: [1], 330: [8]}], ids=["dng", "thumbnail-of-raw"]
)
def test_the_raw_file_of_a_camera_is_named(limits, tags):
    with pytest.raises(UnsupportedFormat, match="raw file of a camera"):
        decode(tiff(SMALL, Kind(tags=tags)), limits)
    with pytest.raises(UnsupportedFormat, match="Canon CR2"):
        decode(b"II*\0\x10\0\0\0CR\2\0" + bytes(90), limits)


# Hostile files


def changed(data: bytes, tag: int, value: int, *, count: int | None = None) -> bytes:
    """Return a little-endian classic TIFF with another value, or place, of a tag."""
    changed = bytearray(data)
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    for at in range(directory + 2, directory + 2 + 12 * entries, 12):
        if struct.unpack_from("<H", data, at)[0] == tag:
            struct.pack_into("<HII", changed, at + 2, 4, count or 1, value)
    return bytes(changed)


@pytest.mark.parametrize("size", [(100_000, 100_000), (7072, 7072), (2**32 - 1, 2**32 - 1)])
def test_a_bomb_is_refused_by_its_header(limits, monkeypatch, size):
    data = changed(changed(tiff(SMALL, Kind()), 256, size[0]), 257, size[1])
    monkeypatch.setattr(Image.core, "new", None)  # no pixel is decoded
    with pytest.raises(TooManyPixels):
        read_header(data, limits)


@pytest.mark.parametrize("next", [8, 0xFFFFFFFF], ids=["cycle", "nowhere"])
def test_directories_after_the_first_are_never_followed(limits, next):
    plain = tiff(SMALL, Kind())
    (directory,) = struct.unpack_from("<I", plain, 4)
    (entries,) = struct.unpack_from("<H", plain, directory)
    data = bytearray(plain)
    place = directory + 2 + 12 * entries
    struct.pack_into("<I", data, place, directory if next == 8 else next)
    assert np.array_equal(decode(bytes(data), limits).canvas, decode(plain, limits).canvas)


@pytest.mark.parametrize(
    ("tag", "value", "count"),
    [
        (256, 0, 1), (257, 0, 1), (257, 2000, 1), (273, 0xFFFFFFFF, 1), (273, 10**6, 1),
        (279, 10**6, 1), (279, 0, 1), (279, 3, 1), (278, 1, 1), (258, 10**7, 10**6),
        (273, 10**7, 0x7FFFFFFF), (277, 1, 1), (322, 0, 1), (322, 1 << 30, 1),
    ],
)  # fmt: skip
def test_numbers_that_lie_make_a_broken_image(limits, tag, value, count):
    data = tiff(SMALL, Kind(tags={322: [16]} if tag == 322 else {}))
    with pytest.raises(BrokenImage):
        decode(changed(data, tag, value, count=count), limits)


def test_strips_that_share_their_bytes_are_refused(limits):
    height = 4000
    data = tiff((64, height), replace(Kind(), deflated=False))
    (directory,) = struct.unpack_from("<I", data, 4)
    table = struct.pack(f"<{height}I", *[8] * height)
    lengths = struct.pack(f"<{height}I", *[directory - 8] * height)
    end = len(data)
    for tag, value, count in ((278, 1, 1), (273, end, height), (279, end + len(table), height),
                              (259, 32773, 1)):  # fmt: skip
        data = changed(data, tag, value, count=count)
    with pytest.raises(BrokenImage, match="overlap"):
        decode(data + table + lengths, limits)


def test_a_directory_with_too_many_tags_is_refused(limits):
    head = b"II*\0" + struct.pack("<IH", 8, 60_000)
    with pytest.raises(BrokenImage, match="4,096 tags"):
        decode(head + bytes(12 * 60_000), limits)
    head = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1 << 60)
    with pytest.raises(BrokenImage, match="4,096 tags"):
        decode(head + bytes(100), limits)


def test_too_many_strips_are_refused():
    data = changed(tiff((1, 70_000), Kind(1, 1)), 278, 1)
    with pytest.raises(BrokenImage, match="65,536 strips"):
        decode(data, Limits(1 << 20, 10**6, 10**6))


def test_a_jpeg_strip_with_endless_scans_is_refused(scene, encode, limits):
    jpeg = encode(scene(64, 64), "JPEG", progressive=True, keep_rgb=True)
    scan = jpeg.rindex(b"\xff\xda")
    strip = jpeg[:scan] + jpeg[scan:-2] * 500 + jpeg[-2:]
    samples = np.frombuffer(strip.ljust(-(-len(strip) // 192) * 192, b"\0"), np.uint8)
    data = tiff_of(samples.reshape(-1, 64, 3))
    for tag, value in ((257, 64), (278, 64), (279, len(strip)), (259, 7)):
        data = changed(data, tag, value)
    with pytest.raises(BrokenImage, match="scans, more than"):
        decode(data, limits)


def test_a_jpeg_strip_that_is_cut_short_is_broken(scene, encode, limits):
    data = encode(scene(64, 64), "TIFF", compression="jpeg")
    with Image.open(BytesIO(data)) as file:
        (length,) = file.tag_v2[279]
    with pytest.raises(BrokenImage):
        decode(changed(data, 279, length // 2), limits)


def test_a_broken_file_prints_nothing(scene, encode, limits, capfd):
    data = bytearray(encode(scene(64, 64), "TIFF", compression="tiff_lzw"))
    data[40:80] = bytes(40)
    with pytest.raises(BrokenImage):
        decode(bytes(data), limits)
    assert capfd.readouterr() == ("", "")
