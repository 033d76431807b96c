"""Detect the format of a file from its first bytes.

bytes -> one of the five formats that are read
      -> UnsupportedFormat    another format of images or documents, named in the message
      -> NotAnImage           anything else; of a text, the message says which it is

File names and content types are ignored: both are often wrong.
"""

import re

from app.errors import NotAnImage, UnsupportedFormat
from app.vision.mistaken_text import LOST_LINE_ENDS, advice_on, lost_its_line_ends, text_of
from app.vision.picture import Format

READABLE_FORMATS = "JPEG, PNG, WebP, GIF or BMP"

_BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)

_UNREADABLE = (
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
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
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"hevc": "HEIC",
    b"hevx": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"crx ": "Canon CR3",
    b"qt  ": "QuickTime video",
}
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
    if data.startswith(b"\xff\xd8\xff") and not data.startswith(b"\xff\xd8\xff\xf7"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    # Text may begin with BM too; the size of the second header distinguishes a bitmap.
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    return None


def _unreadable_format(data: bytes) -> str | None:
    for magic, name in _UNREADABLE:
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "MP4 video")
    if _NETPBM.match(data):
        return "Netpbm"
    if _SVG.match(text_of(data) or ""):
        return "SVG"
    return None
