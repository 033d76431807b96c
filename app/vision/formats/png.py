"""Decode a PNG.

bytes -> chunks -> pixel limit -> a file of only the needed chunks -> pixels, 8 bits a sample

Pillow reads only IHDR, PLTE, tRNS and IDAT. Given all chunks, its plugin rejects files for broken
or large text and warns about odd animations. The image of an animated PNG is its default image.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from app.errors import BrokenImage
from app.vision.formats.base import DecodedImage, OpenedFile, check_size, decoder_errors
from app.vision.formats.exif import read_orientation
from app.vision.formats.png_16_bits import block_bytes, decode_16_bits, images_in_memory
from app.vision.icc_profile import MAX_PROFILE_BYTES
from app.vision.picture import Limits
from app.vision.work import Work, estimate, raster_bytes

_SIGNATURE_BYTES = 8
_CHUNK_OVERHEAD_BYTES = 12  # length and kind before a chunk's content, checksum after it
_END_CHUNK = b"\0\0\0\0IEND\xaeB`\x82"
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGBA = 0, 2, 3, 4, 6
"""The colour types."""
_SAMPLES = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGBA: 4}
"""Samples per pixel, by colour type."""
_MODES_16_BITS = {_GREY: "L", _RGB: "RGB", _GREY_ALPHA: "LA", _RGBA: "RGBA"}
"""The mode of the samples, by colour type."""
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
_ADAM7_LAST = (0, 1, 1, 2)
_INFLATE_STEP_BYTES = 1 << 20
_MAX_CHUNKS = 50_000
"""A file must have fewer chunks; at 8 KB each, as libpng writes them, these would hold 400 MB."""


@dataclass
class _Chunks:
    """The chunks of a file that are needed."""

    header: tuple[int, int, int, int, int]
    """Width, height, bits per sample, colour type, interlaced."""
    before_pixels: list[memoryview] = field(default_factory=list)
    """IHDR, PLTE and tRNS, whole."""
    pixels: list[memoryview] = field(default_factory=list)
    """The contents of the IDAT chunks: one zlib stream."""
    icc: bytes | None = None
    exif: bytes | None = None
    has_key: bool = False
    """Whether a colour, or entries of the palette, are transparent (tRNS)."""

    @property
    def size(self) -> tuple[int, int]:
        return self.header[0], self.header[1]

    def file(self) -> BytesIO:
        """Return a PNG file of these chunks, with all pixels in one IDAT chunk."""
        length = sum(len(part) for part in self.pixels)
        start = struct.pack(">I4s", length, b"IDAT")
        parts: tuple[bytes | memoryview, ...] = (
            b"\x89PNG\r\n\x1a\n",
            *self.before_pixels,
            start,
            *self.pixels,
            b"\0\0\0\0",
            _END_CHUNK,
        )
        return BytesIO(b"".join(parts))


class OpenedPng(OpenedFile):
    """A PNG whose chunks were found; decoded, it is L, LA, RGB or RGBA."""

    def __init__(self, chunks: _Chunks) -> None:
        self._chunks = chunks
        self.work = _estimate(chunks)

    def load(self) -> DecodedImage:
        """Decode the pixels."""
        chunks = self._chunks
        with decoder_errors("png", self.work):
            file = _decode(chunks)
            if _may_be_short(file, chunks) and not _is_whole(chunks):
                raise BrokenImage("The PNG has fewer rows than its header says. Save it anew.")
            image = _to_8_bits(file, chunks)
        orientation = read_orientation(chunks.exif)
        return DecodedImage(image, chunks.size, icc=chunks.icc, orientation=orientation)


def open_png(data: bytes, limits: Limits) -> OpenedPng:
    """Read the header and find the chunks of a PNG."""
    chunks = _read_chunks(data)
    check_size("png", chunks.size, limits)
    return OpenedPng(chunks)


def _estimate(chunks: _Chunks) -> Work:
    size = chunks.size
    pixels = math.prod(size)
    _, _, bits, colour, interlaced = chunks.header
    if colour not in _SAMPLES or (bits == 16 and colour == _PALETTE):  # noqa: PLR2004
        raise BrokenImage("The PNG has colours of an unknown type. Save it anew.")
    stored, mode = _modes(bits, colour, has_key=chunks.has_key)
    row_bytes = -(-size[0] * bits * _SAMPLES[colour] // 8)
    stored_bytes, image_bytes = raster_bytes(stored, size), raster_bytes(mode, size)
    kept_bytes = sum(len(part) for part in chunks.pixels) + 2 * row_bytes
    converting_bytes = image_bytes * (stored != mode)
    passes = 1
    if bits == 16:  # noqa: PLR2004
        file_mode = _MODES_16_BITS[colour]
        passes = images_in_memory(file_mode)
        stored_bytes *= passes
        converting_bytes = image_bytes + block_bytes(file_mode, size)
    last_row_bytes = 3 * raster_bytes(stored, (size[0], 1)) + (passes - 1) * kept_bytes
    has_alpha = mode.endswith("A")
    cost = (
        0.5
        + 2e-6 * row_bytes * size[1] * passes
        + (1.5 + 1.7 * bool(interlaced) + 2 * has_alpha) * 1e-6 * pixels
        + 1e-6 * pixels * _SAMPLES[colour] * (bits == 16)  # noqa: PLR2004
    )
    return estimate(
        load_bytes=stored_bytes + max(last_row_bytes, converting_bytes),
        mode=mode,
        size=size,
        may_turn=chunks.exif is not None,
        cost=cost,
        kept_bytes=kept_bytes,
    )


def _modes(bits: int, colour: int, *, has_key: bool) -> tuple[str, str]:
    """Return the mode in which Pillow decodes a PNG, and the mode of the result."""
    if colour == _GREY:
        stored = "I;16" if bits == 16 else "1" if bits == 1 else "L"  # noqa: PLR2004
        return stored, "LA" if has_key else "L"
    if colour == _GREY_ALPHA:
        return ("LA" if bits == 8 else "RGBA"), "LA"  # noqa: PLR2004
    if colour == _RGBA:
        return "RGBA", "RGBA"
    return ("P" if colour == _PALETTE else "RGB"), "RGBA" if has_key else "RGB"


def _decode(chunks: _Chunks, raw_mode: str | None = None) -> PngImageFile:
    """Decode the pixels as Pillow does, or in another raw mode."""
    file = PngImageFile(chunks.file())
    if raw_mode is not None:
        file.tile = [tile._replace(args=raw_mode) for tile in file.tile]
    file.load()
    return file


def _read_chunks(data: bytes) -> _Chunks:
    all_chunks = _iterate_chunks(memoryview(data))
    kind, header = next(all_chunks, (b"", memoryview(b"")))
    if kind != b"IHDR" or len(header) != 13 + _CHUNK_OVERHEAD_BYTES:
        raise BrokenImage("The PNG does not begin with its header. Save it anew.")
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header[8:-4])
    chunks = _Chunks((width, height, bits, colour, interlaced), [header])
    profiles = 0
    for kind, chunk in all_chunks:
        content = chunk[8:-4]
        if kind == b"IDAT":
            if content:
                chunks.pixels.append(content)
        elif kind in (b"PLTE", b"tRNS"):
            chunks.before_pixels.append(chunk)
            chunks.has_key |= kind == b"tRNS"
        elif kind == b"iCCP" and not profiles:
            profiles += 1
            chunks.icc = _inflate_profile(bytes(content))
        elif kind == b"eXIf":
            chunks.exif = bytes(content)
        elif kind == b"IEND":
            break
    return chunks


def _iterate_chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield every chunk's kind and the whole chunk; a truncated one ends where the file ends."""
    offset = _SIGNATURE_BYTES
    chunks_left = _MAX_CHUNKS
    while offset + _CHUNK_OVERHEAD_BYTES <= len(data):
        if not (chunks_left := chunks_left - 1):
            raise BrokenImage(f"The PNG has {_MAX_CHUNKS:,} chunks or more. Save it anew.")
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + length + _CHUNK_OVERHEAD_BYTES
        if end > len(data):
            # If the pixels are cut short, the decoder reports it when it reaches the end mark.
            yield kind, data[offset:]
            return
        yield kind, data[offset:end]
        offset = end


def _inflate_profile(content: bytes) -> bytes | None:
    compressed = content.partition(b"\0")[2][1:]
    try:
        return zlib.decompressobj().decompress(compressed, MAX_PROFILE_BYTES + 1)
    except zlib.error:
        return None


def _may_be_short(file: PngImageFile, chunks: _Chunks) -> bool:
    """Return whether rows may be missing. Only then is the file inflated again, which is slow.

    Pillow leaves rows zero without an error if the zlib stream ends before the image.
    """
    width, height = chunks.size
    last = file.crop((0, height - 1, width, height)).tobytes()
    return bool(chunks.header[4]) or not any(last)


def _is_whole(chunks: _Chunks) -> bool:
    """Return whether the zlib stream holds as many bytes as the header announces."""
    width, height, bits, colour, interlaced = chunks.header
    sample_bits = bits * _SAMPLES[colour]
    passes = (*_ADAM7, _ADAM7_LAST) if interlaced else ((0, 0, 1, 1),)
    expected_bytes = 0
    for left, top, across, down in passes:
        columns, rows = -((left - width) // across), -((top - height) // down)
        if columns > 0 and rows > 0:
            expected_bytes += rows * (1 + (columns * sample_bits + 7) // 8)
    return _inflated_bytes(chunks.pixels, expected_bytes) >= expected_bytes


def _inflated_bytes(parts: list[memoryview], enough: int) -> int:
    inflate = zlib.decompressobj()
    total = 0
    for part in parts:
        rest: bytes | memoryview = part
        while rest and total < enough and not inflate.eof:
            total += len(inflate.decompress(rest, _INFLATE_STEP_BYTES))
            rest = inflate.unconsumed_tail
    return total


def _to_8_bits(file: PngImageFile, chunks: _Chunks) -> Image.Image:
    """Convert palette, 1-bit and 16-bit pixels and a transparent colour to 8 bits and alpha."""
    bits, colour = chunks.header[2:4]
    key = file.info.get("transparency")
    if bits == 16:  # noqa: PLR2004
        return decode_16_bits(file, partial(_decode, chunks), _MODES_16_BITS[colour], key)
    if key is not None and file.mode == "L":
        # The key has the bits of the file; the pixels are scaled to eight.
        file.info["transparency"] = (key & ((1 << bits) - 1)) * (255 // ((1 << bits) - 1))
    mode = file.mode
    if mode in ("1", "L"):
        mode = "L" if key is None else "LA"
    elif mode in ("P", "RGB"):
        mode = "RGB" if key is None else "RGBA"
    return file if file.mode == mode else file.convert(mode)
