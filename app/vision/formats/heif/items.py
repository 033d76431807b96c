"""Find the items of an AVIF or HEIC file: both are ISO base media files with a `meta` box.

bytes -> boxes -> meta: pitm (the primary item), iinf (kinds), iloc (where the bytes are)
                        iprp (properties), iref (which item consists of which)
      -> `Items`

It is read only for what decoders allocate: how many items there are, and the pixels that each one
announces. Boxes that are not needed are skipped.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.errors import BrokenImage
from app.vision.formats.heif.bits import Reader

MAX_ITEMS = 1000
"""Maximum number of items, tiles of a grid included; phones write up to 200."""
_MAX_EXTENTS = 8
"""Maximum number of parts in which an item is stored; encoders write one."""
_MAX_BOXES = 4096
_FILE, _IDAT = 0, 1
"""Construction methods: offsets count from the file's begin, or that of the box `idat`."""


@dataclass(frozen=True)
class Item:
    """A coded picture, a grid of others, or metadata."""

    kind: str
    """Its type of four characters: av01, hvc1, grid, Exif, …"""
    content: bytes
    """Its bytes in the file."""
    properties: list[tuple[str, bytes]]
    """Kind and content of its properties, in their order."""
    parts: list[int]
    """The items that it is derived from, such as the tiles of a grid."""

    def first(self, kind: str) -> bytes | None:
        """Return the first property of a kind."""
        return next((content for each, content in self.properties if each == kind), None)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height that the item announces, in pixels."""
        extent = self.first("ispe")
        if extent is None or len(extent) < 12:  # noqa: PLR2004
            return None
        width, height = struct.unpack_from(">II", extent, 4)
        return width, height


@dataclass
class Items:
    """The items of a file."""

    primary: int
    by_id: dict[int, Item] = field(default_factory=dict)


def iterate_boxes(data: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Yield kind and content of each box; a truncated one ends where `data` ends."""
    offset = 0
    for _ in range(_MAX_BOXES):
        if offset + 8 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, offset)
        begin = offset + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, begin)
            begin += 8
        end = offset + size if size else len(data)
        if end < begin:
            raise struct.error("a box is shorter than its header")
        yield kind.decode("latin-1"), data[begin:end]
        offset = end
    raise BrokenImage(f"The file has more than {_MAX_BOXES:,} boxes. Save it anew.")


def read_items(data: bytes, name: str) -> Items:
    """Read the items of a file.

    Args:
        data: the whole file.
        name: of the format, for errors.

    Raises:
        BrokenImage: boxes are missing, broken, or outside the file.
    """
    try:
        metas = [content for kind, content in iterate_boxes(memoryview(data)) if kind == "meta"]
        if len(metas) != 1:
            raise BrokenImage(f"The {name} holds no picture, or several. Save it anew.")
        return _read_meta(data, metas[0][4:], name)
    except (struct.error, IndexError, EOFError) as err:
        raise BrokenImage(
            f"The {name} is broken or cut short. Send it again, or save it anew."
        ) from err


def without_tracks(data: bytes) -> bytes:
    """Return the file with the tracks of a sequence (moov) marked as free space."""
    rest = memoryview(data)
    for kind, content in iterate_boxes(rest):
        if kind == "moov":
            at = data.index(b"moov" + bytes(content[:8]))
            return data[:at] + b"free" + data[at + 4 :]
    return data


def _read_meta(data: bytes, meta: memoryview, name: str) -> Items:
    boxes: dict[str, memoryview] = {}
    for kind, content in iterate_boxes(meta):
        if kind in boxes and kind in ("pitm", "iinf", "iloc", "iprp", "iref", "idat"):
            raise BrokenImage(f"The {name} has its box {kind} twice. Save it anew.")
        boxes[kind] = content
    missing = [kind for kind in ("pitm", "iinf", "iloc", "iprp") if kind not in boxes]
    if missing:
        raise BrokenImage(f"The {name} lacks its box {missing[0]}. Save it anew.")
    primary = Reader(boxes["pitm"])
    kinds = dict(_read_kinds(boxes["iinf"], name))
    properties = _read_properties(boxes["iprp"])
    references = dict(_read_references(boxes.get("iref")))
    places = _read_places(boxes["iloc"], data, boxes.get("idat", memoryview(b"")), name)
    version = primary.number(4) >> 24
    items = Items(primary.number(4 if version else 2))
    for number, kind in kinds.items():
        items.by_id[number] = Item(
            kind, places.get(number, b""), properties.get(number, []), references.get(number, [])
        )
    if items.primary not in items.by_id:
        raise BrokenImage(f"The {name} lacks its primary picture. Save it anew.")
    return items


def _read_kinds(box: memoryview, name: str) -> Iterator[tuple[int, str]]:
    reader = Reader(box)
    version = reader.number(4) >> 24
    count = reader.number(4 if version else 2)
    _check_count(count, name)
    for kind, content in iterate_boxes(reader.rest()):
        if kind == "infe":
            entry = Reader(content)
            version = entry.number(4) >> 24
            if version >= 2:  # noqa: PLR2004
                number = entry.number(2 if version == 2 else 4)  # noqa: PLR2004
                entry.number(2)
                yield number, bytes(entry.rest()[:4]).decode("latin-1")


def _check_count(count: int, name: str) -> None:
    if count > MAX_ITEMS:
        raise BrokenImage(f"The {name} has more than {MAX_ITEMS:,} items. Save it anew.")


def _read_places(box: memoryview, data: bytes, idat: memoryview, name: str) -> dict[int, bytes]:
    reader = Reader(box)
    version = reader.number(4) >> 24
    sizes = reader.number(2)
    offset_bytes, length_bytes, base_bytes = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_bytes = sizes & 15 if version else 0
    count = reader.number(2 if version < 2 else 4)  # noqa: PLR2004
    _check_count(count, name)
    sources = {_FILE: memoryview(data), _IDAT: idat}
    places: dict[int, bytes] = {}
    total = 0
    for _ in range(count):
        number = reader.number(2 if version < 2 else 4)  # noqa: PLR2004
        method = reader.number(2) & 15 if version else _FILE
        reader.number(2)
        base = reader.number(base_bytes)
        extents = reader.number(2)
        if extents > _MAX_EXTENTS or method not in sources:
            raise BrokenImage(f"The {name} stores its pixels in too many parts. Save it anew.")
        source, parts = sources[method], []
        for _ in range(extents):
            reader.number(index_bytes)
            offset, length = base + reader.number(offset_bytes), reader.number(length_bytes)
            part = source[offset : offset + length if length else len(source)]
            if len(part) < length:
                raise EOFError
            parts.append(part)
            total += len(part)
        if total > 2 * len(data):
            raise BrokenImage(f"The {name} has items that overlap. Save it anew.")
        places.setdefault(number, b"".join(parts))
    return places


def _read_properties(box: memoryview) -> dict[int, list[tuple[str, bytes]]]:
    children = list(iterate_boxes(box))
    (container,) = [content for kind, content in children if kind == "ipco"][:1] or [box[:0]]
    known = [(kind, bytes(content)) for kind, content in iterate_boxes(container)]
    properties: dict[int, list[tuple[str, bytes]]] = {}
    for kind, content in children:
        if kind != "ipma":
            continue
        reader = Reader(content)
        head = reader.number(4)
        index_bytes = 1 + (head & 1)
        for _ in range(reader.number(4)):
            number = reader.number(4 if head >> 24 else 2)
            found = properties.setdefault(number, [])
            for _ in range(reader.number(1)):
                index = reader.number(index_bytes) & ((1 << 8 * index_bytes - 1) - 1)
                if 0 < index <= len(known):
                    found.append(known[index - 1])
    return properties


def _read_references(box: memoryview | None) -> Iterator[tuple[int, list[int]]]:
    if box is None:
        return
    reader = Reader(box)
    id_bytes = 4 if reader.number(4) >> 24 else 2
    for kind, content in iterate_boxes(reader.rest()):
        if kind == "dimg":
            entry = Reader(content)
            number = entry.number(id_bytes)
            yield number, [entry.number(id_bytes) for _ in range(entry.number(2))]
