"""Make TIFF files of every kind of samples and layout, small on disk and large in memory.

samples of 0x55 -> strips or tiles, deflated -> classic or BigTIFF of either byte order
"""

import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

Size = tuple[int, int]
"""Width and height."""

_STRIP_BYTES = 1 << 16
_SHORT, _LONG, _LONG8 = 3, 4, 16
_CODES = {_SHORT: "H", _LONG: "I", _LONG8: "Q"}


@dataclass(frozen=True)
class Kind:
    """The content of a TIFF, and its encoding."""

    photometric: int = 2
    """0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5 CMYK."""
    samples: int = 3
    bits: int = 8
    alpha: int | None = None
    """1 associated, 2 not, 0 no alpha but another sample; None where there is no such sample."""
    planar: bool = False
    tile: Size | None = None
    differences: bool = False
    deflated: bool = True
    orientation: int = 1
    order: str = "<"
    big: bool = False
    tags: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """Tags beside those, or instead of them."""


def tiff(size: Size, kind: Kind) -> bytes:
    """Return a TIFF of a kind."""
    samples = 1 if kind.planar else kind.samples
    width, height = kind.tile or size
    row_bytes = math.ceil(width * samples * kind.bits / 8)
    rows = height if kind.tile else min(height, max(1, _STRIP_BYTES // row_bytes))
    if kind.tile:
        count = math.ceil(size[0] / width) * math.ceil(size[1] / height)
        pieces = [_packed(b"\x55" * row_bytes * rows, kind)] * count
    else:
        count = math.ceil(height / rows)
        last = height - rows * (count - 1)
        pieces = [_packed(b"\x55" * row_bytes * rows, kind)] * (count - 1)
        pieces.append(_packed(b"\x55" * row_bytes * last, kind))
    pieces *= kind.samples if kind.planar else 1
    return _file(kind, _tags(size, kind, rows), pieces)


def _packed(data: bytes, kind: Kind) -> bytes:
    return zlib.compress(data, 1) if kind.deflated else data


def _tags(size: Size, kind: Kind, rows: int) -> dict[int, Sequence[int]]:
    tags: dict[int, Sequence[int]] = {
        256: [size[0]],
        257: [size[1]],
        258: [kind.bits] * kind.samples,
        259: [8 if kind.deflated else 1],
        262: [kind.photometric],
        274: [kind.orientation],
        277: [kind.samples],
        284: [1 + kind.planar],
        317: [1 + kind.differences],
    }
    if kind.photometric == 3:  # noqa: PLR2004
        tags[320] = [level % 65536 for level in range(257, 257 + 3 * 211 * 2**kind.bits, 211)]
    if kind.alpha is not None:
        tags[338] = [kind.alpha]
    if kind.tile:
        tags |= {322: [kind.tile[0]], 323: [kind.tile[1]]}
    else:
        tags[278] = [rows]
    return tags | dict(kind.tags)


def _file(kind: Kind, tags: dict[int, Sequence[int]], pieces: Sequence[bytes]) -> bytes:
    order, big = kind.order, kind.big
    begin = 16 if big else 8
    offsets, offset = [], begin
    for piece in pieces:
        offsets.append(offset)
        offset += len(piece)
    tables = {True: (324, 325), False: (273, 279)}[kind.tile is not None]
    numbers = {**tags, tables[0]: offsets, tables[1]: [len(piece) for piece in pieces]}
    word = 8 if big else 4
    entries, outside = b"", b""
    outside_offset = offset + (8 + 20 * len(numbers) + 8 if big else 2 + 12 * len(numbers) + 4)
    for tag in sorted(numbers):
        values = numbers[tag]
        type_ = _SHORT if max(values) < 1 << 16 else _LONG8 if big else _LONG
        content = struct.pack(f"{order}{len(values)}{_CODES[type_]}", *values)
        place = content.ljust(word, b"\0")
        if len(content) > word:
            place = struct.pack(order + ("Q" if big else "I"), outside_offset + len(outside))
            outside += content
        entries += struct.pack(order + ("HHQ" if big else "HHI"), tag, type_, len(values)) + place
    count = struct.pack(order + ("Q" if big else "H"), len(numbers))
    mark = {"<": b"II", ">": b"MM"}[order]
    header = mark + struct.pack(
        order + ("HHHQ" if big else "HI"), *((43, 8, 0) if big else (42,)), offset
    )
    return b"".join([header, *pieces, count, entries, bytes(word), outside])


KINDS: dict[str, Kind] = {
    "grey 1": Kind(1, 1, 1),
    "grey 4 white is zero": Kind(0, 1, 4),
    "grey 16 differences": Kind(1, 1, 16, differences=True),
    "grey alpha 8": Kind(1, 2, alpha=2),
    "grey alpha 16 white is zero": Kind(0, 2, 16, alpha=2),
    "palette 8": Kind(3, 1, 8),
    "rgb 8 uncompressed": Kind(deflated=False),
    "rgb 8 planar": Kind(planar=True),
    "rgb 8 turned": Kind(orientation=6),
    "rgb 16 big endian": Kind(bits=16, order=">"),
    "rgb 16 planar": Kind(bits=16, planar=True),
    "rgb 16 tiles differences": Kind(bits=16, tile=(256, 256), differences=True, big=True),
    "rgba 8 associated": Kind(samples=4, alpha=1),
    "rgba 16 associated": Kind(samples=4, bits=16, alpha=1),
    "rgba 8 planar": Kind(samples=4, alpha=2, planar=True),
    "cmyk 8 BigTIFF": Kind(5, 4, big=True),
    "cmyk 16": Kind(5, 4, 16),
}


def tiff_makers() -> Iterator[tuple[str, Callable[[Size], bytes], int]]:
    """Yield name, maker and longest side of each kind."""
    for name, kind in KINDS.items():
        yield f"tiff {name}", partial(tiff, kind=kind), 16_384 if kind.tile else 10**9
