"""Read the first directory of a TIFF, and write a new file of one directory and its pixels.

bytes -> header: byte order, classic or BigTIFF -> first directory: the tags that are needed
      -> `Directory`; strips or tiles -> `pixel_file`: a small classic TIFF for libtiff

Later directories, nested ones and tags that the pixels don't depend on are never followed: a chain
of directories that is a cycle has no effect. Nothing is read beyond the file, and no table is
larger than the picture needs.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import BrokenImage

SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP = 266, 273, 274, 277, 278
STRIP_BYTES, PLANAR, T4_OPTIONS, T6_OPTIONS, PREDICTOR = 279, 284, 292, 293, 317
COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 320, 322, 323, 324, 325
NESTED_DIRECTORIES, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES = 330, 338, 339, 347
YCBCR_COEFFICIENTS, YCBCR_SUBSAMPLING, REFERENCE_BLACK_WHITE = 529, 530, 532
ICC_PROFILE, DNG_VERSION = 34675, 50706

MAX_ENTRIES = 4096
"""A directory has fewer entries than that; usual ones have 10 to 60."""
_SHORT, _LONG, _UNDEFINED = 3, 4, 7
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8,
               13: 4, 16: 8, 17: 8, 18: 8}  # fmt: skip
"""Bytes of a value, by its type."""
_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
"""The types that hold whole numbers, as NumPy names them."""
CUT_SHORT = "The TIFF is broken or cut short. Send it again, or save it anew."


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: int
    count: int
    offset: int
    """Where its values are in the file."""


class Directory:
    """The first directory of a TIFF: its tags, not yet interpreted.

    Args:
        data: the whole file.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = {b"II": "<", b"MM": ">"}[data[:2]]
        try:
            self._entries = self._read()
        except struct.error as err:
            raise BrokenImage(CUT_SHORT) from err

    def has(self, tag: int) -> bool:
        """Return whether the directory has a tag."""
        return tag in self._entries

    def number(self, tag: int, default: int) -> int:
        """Return the first value of a tag of whole numbers."""
        values = self.numbers(tag, max_count=1)
        return int(values[0]) if len(values) else default

    def numbers(self, tag: int, max_count: int) -> NDArray[np.uint64]:
        """Return at most `max_count` values of a tag of whole numbers; none if it is missing.

        Raises:
            BrokenImage: the values are of another type, or outside the file.
        """
        entry = self._entries.get(tag)
        if entry is None:
            return np.empty(0, np.uint64)
        if entry.kind not in _INTEGERS:
            raise BrokenImage(f"The TIFF has a tag {tag} of a wrong type. Save it anew.")
        dtype = np.dtype(self.order + _INTEGERS[entry.kind])
        count = min(entry.count, max_count)
        content = self._content(entry, count)
        return np.frombuffer(content, dtype, count).astype(np.uint64)

    def content(self, tag: int, max_bytes: int) -> bytes | None:
        """Return the bytes of a tag's values; None if it is missing or longer than `max_bytes`."""
        entry = self._entries.get(tag)
        if entry is None or entry.count * _TYPE_BYTES.get(entry.kind, 1) > max_bytes:
            return None
        return bytes(self._content(entry, entry.count))

    def _content(self, entry: _Entry, count: int) -> memoryview:
        length = count * _TYPE_BYTES.get(entry.kind, 1)
        content = memoryview(self.data)[entry.offset : entry.offset + length]
        if len(content) < length:
            raise BrokenImage(CUT_SHORT)
        return content

    def _read(self) -> dict[int, _Entry]:
        data, order = self.data, self.order
        is_big = struct.unpack_from(order + "H", data, 2)[0] == 43  # noqa: PLR2004
        start, count_code, entry_code, word = (
            (16, "Q", "HHQ8s", 8) if is_big else (8, "H", "HHI4s", 4)
        )
        (offset,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, start - word)
        if offset >= len(data):
            raise BrokenImage(CUT_SHORT)
        (count,) = struct.unpack_from(order + count_code, data, offset)
        if count > MAX_ENTRIES:
            raise BrokenImage(f"The TIFF has more than {MAX_ENTRIES:,} tags. Save it anew.")
        layout = struct.Struct(order + entry_code)
        offset += struct.calcsize(order + count_code)
        entries: dict[int, _Entry] = {}
        for begin in range(offset, offset + count * layout.size, layout.size):
            tag, kind, values, _ = layout.unpack_from(data, begin)
            place = begin + layout.size - word
            if values * _TYPE_BYTES.get(kind, 1) > word:
                (place,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, place)
            entries.setdefault(tag, _Entry(kind, values, place))
        return entries


def pixel_file(
    order: str,
    numbers: Mapping[int, int | Sequence[int]],
    contents: Mapping[int, tuple[int, bytes]],
    pieces: Sequence[memoryview],
    tiled: bool,
) -> tuple[bytes, int]:
    """Return a classic TIFF of one directory, and the offset of that directory.

    Args:
        order: `<` or `>`, of the samples in `pieces`.
        numbers: tags of whole numbers, all of which are stored as LONG, or as SHORT if they fit.
        contents: tags whose values are copied: their type, and their bytes in that order.
        pieces: the strips or tiles, in their order.
        tiled: whether they are tiles.
    """
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    lengths = [len(piece) for piece in pieces]
    offsets, offset = [], 8
    for length in lengths:
        offsets.append(offset)
        offset += length
    padding = b"\0" * (offset % 2)
    offset += len(padding)
    tables = {TILE_OFFSETS if tiled else STRIP_OFFSETS: offsets,
              TILE_BYTES if tiled else STRIP_BYTES: lengths}  # fmt: skip
    packed = dict(contents)
    for tag, value in numbers.items():
        values = [value] if isinstance(value, int) else list(value)
        kind, code = (_SHORT, "H") if max(values) < 1 << 16 else (_LONG, "I")
        packed[tag] = kind, struct.pack(f"{order}{len(values)}{code}", *values)
    for tag, table in tables.items():
        packed[tag] = _LONG, np.array(table, np.uint32).astype(order + "u4").tobytes()
    outside, entries = b"", b""
    outside_offset = offset
    for tag in sorted(packed):
        kind, content = packed[tag]
        count = len(content) // _TYPE_BYTES[kind]
        if len(content) > 4:  # noqa: PLR2004
            place = struct.pack(order + "I", outside_offset + len(outside))
            outside += content + b"\0" * (len(content) % 2)
        else:
            place = content.ljust(4, b"\0")
        entries += struct.pack(order + "HHI", tag, kind, count) + place
    directory_offset = outside_offset + len(outside)
    directory = struct.pack(order + "H", len(packed)) + entries + bytes(4)
    header = start + struct.pack(order + "I", directory_offset)
    return b"".join([header, *pieces, padding, outside, directory]), directory_offset
