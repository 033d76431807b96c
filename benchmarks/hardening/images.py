"""Make image files of every format, mode and shape, small on disk and large in memory.

`cases` yields a name and the function that makes the file. The pixels are a gradient: not zero, so
that every page of memory is written, and regular, so that the files stay small.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.hardening.tiff_images import tiff_makers

Size = tuple[int, int]
"""Width and height."""

_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
_ADAM7_LAST = (0, 1, 1, 2)
_PNG_COLOURS = {"grey": (0, 1), "rgb": (2, 3), "palette": (3, 1), "la": (4, 2), "rgba": (6, 4)}
"""The code of a colour type in IHDR, and its samples per pixel."""
_TURNED = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"
"""An EXIF block that states orientation 6."""


def gradient(size: Size, channels: int = 3) -> NDArray[np.uint8]:
    """Return (height, width, channels) uint8, nowhere zero; 2-dimensional for one channel."""
    width, height = size
    rows = (np.arange(height, dtype=np.uint32) // 8 % 199 + 1).astype(np.uint8)[:, None]
    columns = (np.arange(width, dtype=np.uint32) // 8 % 53).astype(np.uint8)[None, :]
    plane = rows + columns
    return plane if channels == 1 else np.stack([plane] * channels, axis=-1)


def image(size: Size, mode: str) -> Image.Image:
    """Return a gradient in any of Pillow's 8-bit modes, or `1` or `P`."""
    if mode == "1":
        return Image.fromarray(gradient(size, 1)).convert(mode)
    if mode == "P":
        indices = Image.frombytes("P", size, gradient(size, 1).tobytes())
        indices.putpalette([value for i in range(256) for value in (i, 255 - i, i // 2)])
        return indices
    if mode == "LA":
        grey = Image.fromarray(gradient(size, 1))
        return Image.merge("LA", (grey, grey))
    channels = {"L": 1, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    return Image.frombytes(mode, size, gradient(size, channels).tobytes())


def pillow(format: str, mode: str, size: Size, **options: Any) -> bytes:
    """Return a file that Pillow writes."""
    file = BytesIO()
    image(size, mode).save(file, format, **options)
    return file.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content)) + kind + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )  # fmt: skip


def png(
    size: Size,
    colour: str,
    bits: int,
    *,
    interlaced: bool = False,
    key: bool = False,
    turned: bool = False,
) -> bytes:
    """Return a PNG of any colour type and depth.

    Args:
        size: width and height.
        colour: grey, rgb, palette, la or rgba.
        bits: per sample.
        interlaced: by Adam7.
        key: with a transparent colour (tRNS); of a palette, its first 256 entries.
        turned: with EXIF orientation 6.
    """
    code, samples = _PNG_COLOURS[colour]
    pack = zlib.compressobj(1)
    width, height = size
    parts = []
    for left, top, across, down in (*_ADAM7, _ADAM7_LAST) if interlaced else ((0, 0, 1, 1),):
        columns, rows = -((left - width) // across), -((top - height) // down)
        if columns > 0 and rows > 0:
            row_bytes = (columns * samples * bits + 7) // 8
            step = max(1, (1 << 24) // (row_bytes + 1))
            for row in range(0, rows, step):
                lines = np.full((min(step, rows - row), 1 + row_bytes), 0x55, np.uint8)
                lines[:, 0] = 0
                parts.append(pack.compress(lines.tobytes()))
    parts.append(pack.flush())
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, code, 0, 0, interlaced))]
    if colour == "palette":
        chunks.append(_chunk(b"PLTE", bytes(range(1, 4)) * 2**bits))
    if key:
        chunks.append(
            _chunk(b"tRNS", bytes(2**bits) if colour == "palette" else bytes(2 * samples))
        )
    if turned:
        chunks.append(_chunk(b"eXIf", _TURNED[6:]))
    chunks += [_chunk(b"IDAT", b"".join(parts)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def bmp(size: Size, bits: int, *, alpha: bool = False) -> bytes:
    """Return an uncompressed BMP of 1, 4, 8, 16, 24 or 32 bits a pixel."""
    width, height = size
    row_bytes = (width * bits + 31) // 32 * 4
    palette = bytes(range(1, 5)) * 2**bits if bits <= 8 else b""  # noqa: PLR2004
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(52) if alpha else b""
    head_bytes = 40 + len(masks)
    offset = 14 + head_bytes + len(palette)
    start = b"BM" + struct.pack("<IHHI", offset + row_bytes * height, 0, 0, offset)
    info = struct.pack(
        "<IiiHHIIiiII", head_bytes, width, height, 1, bits, 3 if alpha else 0, 0, 0, 0, 0, 0
    )
    return start + info + masks + palette + b"\x55" * (row_bytes * height)


def jpeg_in_separate_scans(size: Size) -> bytes:
    """Return a sequential JPEG with a scan for each of three components."""
    grey = pillow("JPEG", "L", size, quality=50)
    frame, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    tables_after_frame = grey[frame + 2 + 11 : scan]
    components = b"".join(bytes((i, 0x11, 0)) for i in (1, 2, 3))
    header = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, size[1], size[0], 3) + components
    entropy = grey[scan + 10 : -2]
    scans = b"".join(
        b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, i, 0, 0, 63, 0) + entropy for i in (1, 2, 3)
    )
    return grey[:frame] + header + tables_after_frame + scans + b"\xff\xd9"


def partial_gif(size: Size) -> bytes:
    """Return a GIF whose first frame leaves one column of the screen free."""
    data = bytearray(pillow("GIF", "P", size))
    struct.pack_into("<H", data, 6, size[0] + 1)
    return bytes(data)


def cases(
    pixels: int, *, shapes: Sequence[str] = ("square", "tall", "wide")
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield a name and a maker for every format, mode and shape.

    Args:
        pixels: about how many pixels each image has; tall and wide ones have fewer where the
            format limits a side.
        shapes: which shapes; tall is one pixel wide, wide is one pixel high.
    """
    for shape in shapes:
        for name, maker, longest in _makers():
            yield f"{name}, {shape}", partial(maker, _size(pixels, shape, longest))
    yield (
        "jpeg rgb to scale, square",
        partial(pillow, "JPEG", "RGB", _size(4 * pixels, "square", 0)),
    )
    yield (
        "jpeg progressive to scale, square",
        partial(pillow, "JPEG", "RGB", _size(4 * pixels, "square", 0), progressive=True),
    )


def _size(pixels: int, shape: str, longest: int) -> Size:
    if shape == "square":
        return int(pixels**0.5), int(pixels**0.5)
    side = min(pixels, longest)
    return (1, side) if shape == "tall" else (side, 1)


_Maker = tuple[str, Callable[[Size], bytes], int]
"""Name, maker and the longest side that the format, or its writer here, allows."""


def _makers() -> Iterator[_Maker]:
    yield from _jpegs()
    yield from _pngs()
    yield from _webps()
    yield from _gifs()
    for bits in (1, 4, 8, 16, 24, 32):
        yield f"bmp {bits}", partial(bmp, bits=bits), 10**9
    yield "bmp 32 alpha", partial(bmp, bits=32, alpha=True), 10**9
    yield from tiff_makers()
    for compression in ("tiff_lzw", "jpeg"):
        yield f"tiff {compression}", partial(pillow, "TIFF", "RGB", compression=compression), 60_000
    yield "tiff fax", partial(pillow, "TIFF", "1", compression="group4"), 30_000
    yield from _avifs()
    if find_spec("pillow_heif") is not None:
        yield "heic RGB", partial(heic, mode="RGB"), 8192
        yield "heic RGBA", partial(heic, mode="RGBA"), 8192
        yield "heic grid", partial(heic, mode="RGB", tile_size=256), 8192


def _jpegs() -> Iterator[_Maker]:
    for mode in ("L", "RGB", "CMYK"):
        for progressive in (False, True):
            kind = " progressive" * progressive
            save = partial(pillow, "JPEG", mode, progressive=progressive)
            yield f"jpeg {mode}{kind}", save, 65_500
    yield "jpeg RGB 4:4:4 progressive", _jpeg_444, 65_500
    yield "jpeg RGB turned", partial(pillow, "JPEG", "RGB", exif=_TURNED), 65_500
    yield "jpeg RGB separate scans", jpeg_in_separate_scans, 65_500


def _pngs() -> Iterator[_Maker]:
    for colour, bits in (
        *(("grey", bits) for bits in (1, 2, 4, 8, 16)),
        *(("palette", bits) for bits in (1, 2, 4, 8)),
        *((colour, bits) for colour in ("la", "rgb", "rgba") for bits in (8, 16)),
    ):
        for interlaced in (False, True):
            for key in (False, True) if colour in ("grey", "rgb", "palette") else (False,):
                kind = " interlaced" * interlaced + " key" * key
                maker = partial(png, colour=colour, bits=bits, interlaced=interlaced, key=key)
                yield f"png {colour} {bits}{kind}", maker, 10**9
    for colour in ("grey", "la", "rgb", "rgba"):
        yield f"png {colour} 8 turned", partial(png, colour=colour, bits=8, turned=True), 10**9


def _webps() -> Iterator[_Maker]:
    for mode in ("RGB", "RGBA"):
        for lossless in (False, True):
            kind = " lossless" * lossless
            save = partial(pillow, "WEBP", mode, lossless=lossless, method=0)
            yield f"webp {mode}{kind}", save, 16_383
            yield f"webp {mode}{kind} turned", partial(save, exif=_TURNED), 16_383
        yield f"webp {mode} animated", partial(_animated, "WEBP", mode), 16_383


def _gifs() -> Iterator[_Maker]:
    for mode in ("P", "L", "1"):
        yield f"gif {mode}", partial(pillow, "GIF", mode), 65_535
        yield f"gif {mode} transparent", partial(pillow, "GIF", mode, transparency=3), 65_535
    yield "gif interlaced", partial(pillow, "GIF", "P", interlace=True), 65_535
    yield "gif animated", partial(_animated, "GIF", "P"), 65_535
    yield "gif partial", partial_gif, 65_534


def _avifs() -> Iterator[_Maker]:
    save = partial(pillow, "AVIF", speed=10)
    yield "avif RGB", partial(save, "RGB"), 16_384
    yield "avif RGB 4:4:4 turned", partial(save, "RGB", subsampling="4:4:4", exif=_TURNED), 16_384
    yield "avif RGBA", partial(save, "RGBA"), 16_384
    yield "avif grey", partial(save, "L"), 16_384


def heic(size: Size, mode: str, **options: Any) -> bytes:
    """Return a HEIC that pillow-heif writes, 64 pixels wide and high at least.

    It needs the extra `heif`. x265 encodes no smaller picture.
    """
    import pillow_heif

    size = max(64, size[0]), max(64, size[1])
    file = BytesIO()
    options = {"quality": 60, "enc_params": {"preset": "ultrafast"}, **options}
    pillow_heif.from_pillow(image(size, mode)).save(file, **options)
    return file.getvalue()


def _jpeg_444(size: Size) -> bytes:
    return pillow("JPEG", "RGB", size, progressive=True, subsampling=0)


def _animated(format: str, mode: str, size: Size) -> bytes:
    first = image(size, mode)
    second = first.copy()
    second.putpixel((0, 0), 0 if mode == "P" else (9,) * len(mode))
    file = BytesIO()
    options = {"method": 0} if format == "WEBP" else {}
    first.save(file, format, save_all=True, append_images=[second], **options)
    return file.getvalue()
