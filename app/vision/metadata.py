r"""Remove what a photo's file says beside its pixels: places, times, names, cameras, thumbnails.

    JPEG, PNG, WebP, GIF  -> the same file without these parts; its pixels are the same bytes
    TIFF, AVIF, HEIC      -> decoded, and saved as a PNG: their metadata is spread over the file
    BMP                   -> likewise, since any bytes may stand between its header and its pixels

The orientation and the colour profile stay, since the pixels mean something else without them.
Everything that isn't known to be needed for the pixels is removed, and so are bytes after the end.
The layouts: JPEG in ITU-T T.81 B.1, PNG in its third edition 5, WebP in RFC 9649, GIF89a.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping

from app.errors import BrokenImage
from app.memory_budget import MemoryBudget
from app.vision.formats.exif import ORIENTATION_TAG, UPRIGHT, read_orientation
from app.vision.picture import Format, Limits
from app.vision.saved_png import as_png
from app.vision.sniff import sniff

_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_MARKER, _SOI, _EOI, _SCAN = 0xFF, b"\xff\xd8", 0xD9, 0xDA
_APP_KEPT = {_APP0: b"JFIF\0", _APP2: b"ICC_PROFILE\0", _APP14: b"Adobe"}
_JFIF_BYTES = 12
"""JFIF's content without its thumbnail: name, version, unit and density."""
_CODING = frozenset((*range(0xC0, 0xC8), *range(0xC9, 0xD0), _SCAN, 0xDB, 0xDC, 0xDD))
"""Segments of the coding: frames, tables, scans, the number of lines and the restart interval."""
_NEXT_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""The end of entropy-coded data; padding, restarts and stuffed zeros belong to them."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset(
    (
        *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cHRM"),
        *(b"cICP", b"mDCV", b"cLLI", b"sBIT", b"bKGD", b"hIST", b"pHYs"),
        *(b"acTL", b"fcTL", b"fdAT"),
    )
)
_WEBP_PIXELS = frozenset((b"VP8 ", b"VP8L", b"ALPH"))
_WEBP_KEPT = _WEBP_PIXELS | {b"VP8X", b"ANIM", b"ICCP"}
_WEBP_FRAME_BYTES = 16
"""A frame's place, size and duration, before its chunks."""
_XMP_FLAG, _EXIF_FLAG = 0x04, 0x08
"""Bits of the flags in a VP8X chunk."""

_GIF_IMAGE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B
_GIF_CONTROL, _GIF_APPLICATION = 0xF9, 0xFF
_LOOPS = 3
"""Bytes of the block with the number of loops."""
_GIF_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_GIF_TABLE_FLAG, _GIF_TABLE_BITS = 0x80, 0x07


def without_metadata(
    data: bytes, limits: Limits, memory: MemoryBudget | None = None
) -> tuple[bytes, Format]:
    """Return a photo without its metadata, and the format that it has then.

    Args:
        data: a file that was decoded before.
        limits: the largest file and image that are decoded.
        memory: what decoding takes its bytes from; None: it isn't counted.

    Raises:
        HubelError: the file can't be decoded.
        QueueFull: there is no memory to decode it now.
        BrokenImage: its parts can't be followed.
    """
    format = sniff(data)
    remove = _REMOVERS.get(format)
    if remove is None:
        return as_png(data, format, limits, memory), "png"
    try:
        return remove(data), format
    except (struct.error, IndexError, ValueError) as err:
        raise BrokenImage("The parts of the file can't be told apart.") from err


def _orientation_block(orientation: int) -> bytes:
    """Return a TIFF structure whose only tag is the orientation."""
    entry = struct.pack("<HHIHH", ORIENTATION_TAG, 3, 1, orientation, 0)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + b"\0\0\0\0"


def _jpeg(data: bytes) -> bytes:
    orientation = UPRIGHT
    kept: list[bytes] = []
    for marker, part in _jpeg_parts(data):
        content = part[4:]
        if marker == _APP1 and content.startswith(b"Exif\0\0"):
            orientation = read_orientation(content)
        elif marker == _APP0 and content.startswith(_APP_KEPT[_APP0]):
            kept.append(_segment(_APP0, content[:_JFIF_BYTES] + b"\0\0"))
        elif _is_needed(marker, content):
            kept.append(part)
    exif = b""
    if orientation != UPRIGHT:
        block = b"Exif\0\0" + _orientation_block(orientation)
        exif = _segment(_APP1, block)
    return b"".join((_SOI, exif, *kept))


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", _MARKER, marker, len(content) + 2) + content


def _is_needed(marker: int, content: bytes) -> bool:
    """Return whether a segment is needed for the pixels: the coding's, Adobe's and ICC's are."""
    if marker in _APP_KEPT:
        return content.startswith(_APP_KEPT[marker])
    return marker in _CODING or marker == _EOI


def _jpeg_parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and the bytes of each segment, a scan's data with it, up to the end."""
    at = len(_SOI)
    while at < len(data):
        while data[at] == data[at + 1] == _MARKER:
            at += 1  # padding
        if data[at] != _MARKER:
            raise ValueError
        marker = data[at + 1]
        if marker == _EOI:
            yield marker, data[at : at + 2]
            return
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker == _SCAN:
            found = _NEXT_MARKER.search(data, end)
            end = found.start() if found else len(data)
        yield marker, data[at:end]
        at = end


def _png(data: bytes) -> bytes:
    kept = [_PNG_SIGNATURE]
    orientation = UPRIGHT
    at = len(_PNG_SIGNATURE)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + length + 12
        if kind == b"eXIf":
            orientation = read_orientation(data[at + 8 : end - 4])
        elif kind == b"IEND":
            break
        elif kind in _PNG_KEPT:
            kept.append(data[at:end])
        at = end
    if orientation != UPRIGHT:
        kept.insert(2, _png_chunk(b"eXIf", _orientation_block(orientation)))
    return b"".join((*kept, _png_chunk(b"IEND", b"")))


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def _webp(data: bytes) -> bytes:
    kept: list[bytes] = []
    orientation = UPRIGHT
    end_of_file = min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    at = 12
    while at + 8 <= end_of_file:
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        if kind == b"EXIF":
            orientation = read_orientation(data[at + 8 : at + 8 + length])
        elif kind == b"ANMF":
            kept.append(_webp_chunk(kind, _webp_frame(data[at + 8 : at + 8 + length])))
        elif kind in _WEBP_KEPT:
            kept.append(data[at:end])
        at = end
    if kept and kept[0][:4] == b"VP8X":
        kept[0] = _with_flags(kept[0], has_exif=orientation != UPRIGHT)
        if orientation != UPRIGHT:
            kept.append(_webp_chunk(b"EXIF", _orientation_block(orientation)))
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_frame(content: bytes) -> bytes:
    """Return the content of an animation's frame without chunks that aren't its pixels."""
    kept = [content[:_WEBP_FRAME_BYTES]]
    at = _WEBP_FRAME_BYTES
    while at + 8 <= len(content):
        kind, length = struct.unpack_from("<4sI", content, at)
        end = at + 8 + length + length % 2
        if kind in _WEBP_PIXELS:
            kept.append(content[at:end])
        at = end
    return b"".join(kept)


def _webp_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _with_flags(chunk: bytes, *, has_exif: bool) -> bytes:
    """Return a VP8X chunk that announces no XMP, and EXIF only if there is some."""
    flags = chunk[8] & ~(_XMP_FLAG | _EXIF_FLAG)
    return chunk[:8] + bytes([flags | (_EXIF_FLAG if has_exif else 0)]) + chunk[9:]


def _gif(data: bytes) -> bytes:
    at = 13 + _gif_table_bytes(data[10])
    kept = [data[:at]]
    while at < len(data) and data[at] != _GIF_END:
        start = at
        if data[at] == _GIF_IMAGE:
            at = _after_sub_blocks(data, at + 11 + _gif_table_bytes(data[at + 9]))
            kept.append(data[start:at])
        elif data[at] == _GIF_EXTENSION:
            at = _after_sub_blocks(data, at + 2)
            kind, name = data[start + 1], data[start + 3 : start + 14]
            if kind == _GIF_CONTROL:
                kept.append(data[start:at])
            elif kind == _GIF_APPLICATION and name in _GIF_LOOPS and data[start + 14] == _LOOPS:
                kept.append(data[start : start + 15 + _LOOPS] + b"\0")
        else:
            raise ValueError
    return b"".join((*kept, bytes([_GIF_END])))


def _gif_table_bytes(flags: int) -> int:
    """Return the bytes of the colour table that `flags` announce."""
    return 3 << ((flags & _GIF_TABLE_BITS) + 1) if flags & _GIF_TABLE_FLAG else 0


def _after_sub_blocks(data: bytes, at: int) -> int:
    while length := data[at]:
        at += length + 1
    return at + 1


_REMOVERS: Mapping[Format, Callable[[bytes], bytes]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "gif": _gif,
}
