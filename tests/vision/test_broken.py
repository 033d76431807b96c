import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from app.errors import BrokenImage, InputError, UnsupportedFormat
from app.vision import CANVAS, Limits, decode

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"

KINDS = {
    "jpeg": ("RGB", "JPEG", {"icc_profile": SRGB, "exif": EXIF}),
    "jpeg-progressive": ("RGB", "JPEG", {"progressive": True}),
    "jpeg-cmyk": ("CMYK", "JPEG", {}),
    "png": ("RGB", "PNG", {"icc_profile": SRGB, "exif": EXIF}),
    "png-palette": ("P", "PNG", {"transparency": 3}),
    "png-16": ("I;16", "PNG", {}),
    "png-animated": ("RGB", "PNG", {"save_all": True, "append_images": [Image.new("RGB", (9, 9))]}),
    "webp": ("RGBA", "WEBP", {"icc_profile": SRGB, "exif": EXIF}),
    "webp-lossless": ("RGB", "WEBP", {"lossless": True}),
    "webp-animated": (
        "RGB", "WEBP", {"save_all": True, "append_images": [Image.new("RGB", (60, 40))]},
    ),
    "gif": ("P", "GIF", {"transparency": 1, "interlace": True, "comment": b"hello"}),
    "bmp": ("RGB", "BMP", {}),
    "bmp-palette": ("P", "BMP", {}),
    "tiff": ("RGB", "TIFF", {"icc_profile": SRGB, "exif": EXIF}),
    "tiff-lzw": ("P", "TIFF", {"compression": "tiff_lzw"}),
    "tiff-jpeg": ("RGB", "TIFF", {"compression": "jpeg"}),
    "avif": ("RGBA", "AVIF", {"icc_profile": SRGB, "exif": EXIF, "speed": 10}),
}  # fmt: skip


@pytest.fixture(scope="session")
def sample(scene, encode):
    def sample(kind: str) -> bytes:
        mode, format, options = KINDS[kind]
        return encode(scene(60, 40).convert(mode), format, **options)

    return sample


@pytest.fixture
def small():
    """Limits under which a mutated header can't cause much work."""
    return Limits(max_bytes=1 << 20, max_pixels=1_000_000)


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(*chunks: bytes, rows: int = 8, interlaced: int = 0) -> bytes:
    """Build an 8 x 8 grey PNG of `chunks` and only the first `rows` rows of its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, interlaced))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * 8) * rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        # Headers break in more ways than pixels do.
        offset = rng.randrange(min(len(changed), rng.choice((40, 400, len(changed)))))
        changed[offset] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    if rng.random() < 0.3:
        start = rng.randrange(len(changed))
        del changed[start : start + rng.randrange(1, 30)]
    return bytes(changed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_file_is_decoded_or_raises_an_input_error(sample, small, kind):
    data, rng = sample(kind), random.Random(f"hubel {kind}")
    messages = []
    for _ in range(400):
        try:
            canvas = decode(mutated(data, rng), small).canvas
        except InputError as err:
            messages.append(err.message)
        else:
            assert canvas.shape == (CANVAS, CANVAS, 3)
    assert messages
    assert all(message.endswith(".") for message in messages)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_short_is_refused_whole(sample, small, kind):
    data = sample(kind)
    # Behind the pixels are end marks, later frames and EXIF; a file is whole without them.
    end = {"png-animated": data.find(b"fcTL", data.find(b"IDAT")) - 20}.get(kind, len(data) - 80)
    if kind == "jpeg-cmyk" or kind.startswith("bmp"):
        end = len(data) - 2
    for length in range(0, end, 7):
        with pytest.raises(InputError):
            decode(data[:length], small)


@pytest.mark.parametrize("interlaced", [0, 1], ids=["rows", "adam7"])
@pytest.mark.parametrize("rows", range(8))
def test_a_png_whose_pixels_end_early_is_broken(small, rows, interlaced):
    with pytest.raises(BrokenImage):
        decode(png(rows=rows, interlaced=interlaced), small)


@pytest.mark.parametrize("level", [0, 128], ids=["black", "grey"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_a_png_with_a_black_last_row_is_read(encode, small, mode, level):
    image = Image.new("L", (13, 11), level)
    image.paste(0, (0, 5, 13, 11))
    assert decode(encode(image.convert(mode), "PNG"), small).height == 11


@pytest.mark.parametrize(
    "chunks",
    [
        chunk(b"tEXt", b"Comment\0hello")[:-1] + b"?",
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(5 << 20))),
        chunk(b"iTXt", b"broken"),
        chunk(b"acTL", struct.pack(">II", 0, 0)),
        chunk(b"acTL", struct.pack(">II", 3, 0)) + chunk(b"fcTL", bytes(26)),
        chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(9 << 20))),
        chunk(b"iCCP", b"p\0\0no zlib"),
        chunk(b"iCCP", b""),
        chunk(b"eXIf", b""),
        chunk(b"gAMA", b"\0"),
        chunk(b"cHRM", b"\0"),
        chunk(b"pHYs", b"\0"),
    ],
    ids=[
        "checksum-of-text", "text-bomb", "text", "animation", "frame", "profile-bomb",
        "profile-not-zlib", "profile-empty", "exif-empty", "gamma", "primaries", "density",
    ],
)  # fmt: skip
def test_broken_metadata_of_a_png_is_ignored(small, chunks):
    canvas = decode(png(chunks), small).canvas
    assert np.array_equal(np.unique(canvas), [128])


def test_a_jpeg_with_endless_scans_is_refused(scene, encode, small):
    data = encode(scene(64, 64), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    with pytest.raises(BrokenImage, match="scans, more than"):
        decode(data[:start] + data[start:-2] * 500 + data[-2:], small)


def test_a_malformed_mpo_index_is_ignored(scene, encode, small):
    data = encode(scene(64, 64), "JPEG")
    index = b"\xff\xe2\0\x10MPF\0MM\0*\0\0\xff\xff\0\0"
    assert decode(data[:2] + index + data[2:], small).format == "jpeg"


def test_a_12_bit_jpeg_is_unsupported(scene, encode, small):
    data = bytearray(encode(scene(64, 64), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(UnsupportedFormat, match="cannot handle 12-bit"):
        decode(bytes(data), small)


@pytest.mark.parametrize(("offset", "value"), [(28, 7), (30, 4)], ids=["7-bit", "jpeg-inside"])
def test_an_unusual_variant_of_bmp_is_unsupported(scene, encode, small, offset, value):
    data = bytearray(encode(scene(64, 64), "BMP"))
    struct.pack_into("<H", data, offset, value)
    with pytest.raises(UnsupportedFormat, match="Unsupported BMP"):
        decode(bytes(data), small)


@pytest.mark.parametrize(
    "body", [b"", b"\5\1", b"\0\0" * 3, b"\0\x05\1\1"], ids=["none", "row", "rows", "literal"]
)
def test_a_run_length_encoded_bmp_that_is_cut_short_is_unsupported(small, body):
    palette = bytes(1024)
    info = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 8, 1, 0, 0, 0, 256, 0)
    head = b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + len(palette))
    with pytest.raises(UnsupportedFormat, match="run-length encoded"):
        decode(head + info + palette + body, small)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\0\0\0\0WEBP",
        b"RIFF\x16\0\0\0WEBPVP9 " + bytes(30),
        b"GIF89a",
        b"GIF89a" + bytes(7) + b";",
        b"BM" + bytes(12) + b"\x28\0\0\0",
        b"II*\0",
        b"MM\0*\0\0\0\x08",
        b"II+\0\x08\0\0\0",
        b"\0\0\0\x10ftypavif",
    ],
    ids=[
        "jpeg",
        "png",
        "webp",
        "webp-kind",
        "gif",
        "gif-empty",
        "bmp",
        "tiff",
        "tiff-directory",
        "bigtiff",
        "avif",
    ],
)
def test_a_header_without_pixels_is_broken(small, data):
    with pytest.raises(BrokenImage, match=r"^The (JPEG|PNG|WebP|GIF|BMP|TIFF|AVIF) .*\.$"):
        decode(data, small)


def test_the_exception_of_the_decoder_is_kept_as_the_cause(sample, small):
    with pytest.raises(BrokenImage) as caught:
        decode(sample("jpeg")[:900], small)
    assert isinstance(caught.value.__cause__, Exception)
