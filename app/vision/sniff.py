"""Detect the format of a file from its first bytes.

bytes -> one of the formats that are read
      -> UnsupportedFormat    another format of images or documents, named in the message
      -> NotAnImage           anything else; of a text, the message says which it is

File names and content types are ignored: both are often wrong.
"""

import re
from collections.abc import Mapping

from app.errors import NotAnImage, UnsupportedFormat
from app.vision.mistaken_text import LOST_LINE_ENDS, advice_on, lost_its_line_ends, text_of
from app.vision.picture import Format

READABLE_FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"

_TIFFS = (b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0")
"""The last two are BigTIFF's."""
_READABLE: Mapping[Format, tuple[bytes, ...]] = {
    "jpeg": (b"\xff\xd8\xff",),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "webp": (b"RIFF",),
    "gif": (b"GIF87a", b"GIF89a"),
    "bmp": (b"BM",),
    "tiff": _TIFFS,
}
_BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)

_UNREADABLE = (
    (b"IIRO", "Olympus ORF"),
    (b"IIU\0", "Panasonic RW2"),
    (b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\xd8\xff\xf7", "JPEG-LS"),
    (b"%PDF-", "PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "PSD"),
    (b"\0\0\x01\0", "ICO"),
    (b"\0\0\x02\0", "CUR"),
    (b"icns", "ICNS"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"\x8bJNG\r\n\x1a\n", "JNG"),
    (b"gimp xcf", "XCF"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
)
_BRANDS = {  # the brand of an ISO base media file, in its bytes 8 to 12
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"crx ": "Canon CR3",
    b"qt  ": "QuickTime video",
}
_CANON_RAW = b"CR"
"""Behind the header of a TIFF, it says that the file is a Canon CR2."""
_FORMATS_BY_BRAND: Mapping[bytes, Format] = {
    b"avif": "avif",
    b"avis": "avif",
    b"heic": "heic",
    b"heix": "heic",
    b"heim": "heic",
    b"heis": "heic",
    b"hevc": "heic",
    b"hevx": "heic",
}
_GENERAL_BRANDS = {b"mif1", b"msf1", b"miaf"}
"""Brands of any picture in that container; the list of compatible brands says which."""
_MAX_BRANDS_BYTES = 256
_NETPBM = re.compile(rb"P[1-7]\s")
_SVG = re.compile(r"\s*<(?:svg|(?:\?xml|!DOCTYPE|!--).*?<svg)[\s/>]", re.S | re.I)


def sniff(data: bytes) -> Format:
    """Detect the format of `data`.

    Raises:
        UnsupportedFormat: the format isn't read; the message names it.
        NotAnImage: the bytes are in no known image format.
    """
    if lost_its_line_ends(data):
        raise NotAnImage(LOST_LINE_ENDS)
    if format := _readable_format(data):
        return format
    if name := _unreadable_format(data):
        raise UnsupportedFormat(
            f"This is {name}, which isn't read here. Convert it to {READABLE_FORMATS}."
        )
    if advice := advice_on(data, _is_image):
        raise NotAnImage(advice)
    problem = "The file is in no known image format."
    if text_of(data) is not None:
        problem = "This is text, not an image." if data else "The file is empty."
    raise NotAnImage(f"{problem} Send the bytes of a {READABLE_FORMATS} file.")


def _is_image(data: bytes) -> bool:
    """Return whether `data` begins like an image, in a format that is read or another."""
    return _readable_format(data) is not None or _unreadable_format(data) is not None


def _readable_format(data: bytes) -> Format | None:
    for format, magics in _READABLE.items():
        if data.startswith(magics) and _is_that(format, data):
            return format
    return _format_by_brand(data) if data[4:8] == b"ftyp" else None


def _is_that(format: Format, data: bytes) -> bool:
    """Return whether `data`, which begins like `format`, is not something else."""
    if format == "jpeg":
        return not data.startswith(b"\xff\xd8\xff\xf7")
    if format == "webp":
        return data[8:12] == b"WEBP"
    if format == "bmp":
        # Text may begin with BM too; the size of the second header distinguishes a bitmap.
        return int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES
    return format != "tiff" or data[8:10] != _CANON_RAW


def _format_by_brand(data: bytes) -> Format | None:
    """Return the format of an ISO base media file: by its brand, or by those it is compatible with.

    Of a file that is compatible with both, the list says first which one it is.
    """
    end = min(int.from_bytes(data[:4], "big"), _MAX_BRANDS_BYTES)
    compatible = [data[at : at + 4] for at in range(16, end - 3, 4)]
    brands = [data[8:12], *(compatible if data[8:12] in _GENERAL_BRANDS else ())]
    return next((format for brand in brands if (format := _FORMATS_BY_BRAND.get(brand))), None)


def _unreadable_format(data: bytes) -> str | None:
    for magic, name in _UNREADABLE:
        if data.startswith(magic):
            return name
    if data.startswith(_TIFFS):
        return "Canon CR2"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "MP4 video")
    if _NETPBM.match(data):
        return "Netpbm"
    if _SVG.match(text_of(data) or ""):
        return "SVG"
    return None
