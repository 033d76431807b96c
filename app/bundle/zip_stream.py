"""A bundle as one zip, written while it is sent: files are stored, not packed.

files -> checked, each with its CRC-32 -> the zip's length -> headers and pieces of files, in order

Local headers have size and CRC, which a zip that is written in one go usually lacks: programs that
read a zip from a stream need them. The format is APPNOTE.TXT 6.3.10; its zip64 parts stand only
where a number has more than 32 bits.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.bundle.folder import MANIFEST, MODEL_CARD, Bundle
from app.errors import ModelNotReady

_PIECE_BYTES = 256 * 1024
_IN_ZIP64 = 0xFFFFFFFF
"""Stands where a number is in a part of zip64."""
_LARGE = _IN_ZIP64
"""The least number that is."""
_VERSION, _VERSION_64 = 20, 45
_UTF8 = 0x800
_DATE, _TIME = 0x21, 0
"""1980-01-01: the same bundle gives the same zip."""
_UNIX, _MODE = 3, 0o100644 << 16


@dataclass(frozen=True)
class _Member:
    name: bytes
    path: Path
    size: int
    crc: int

    @property
    def is_large(self) -> bool:
        return self.size >= _LARGE

    def local_header(self) -> bytes:
        extra = struct.pack("<HHQQ", 1, 16, self.size, self.size) if self.is_large else b""
        fixed = struct.pack("<4s5H3I2H", b"PK\3\4", *self._common(extra))
        return fixed + self.name + extra

    def _common(self, extra: bytes) -> tuple[int, ...]:
        version = _VERSION_64 if self.is_large else _VERSION
        size = _IN_ZIP64 if self.is_large else self.size
        stored = 0
        lengths = (len(self.name), len(extra))
        return (version, _UTF8, stored, _TIME, _DATE, self.crc, size, size, *lengths)

    def central_header(self, offset: int) -> bytes:
        large = [self.size, self.size] if self.is_large else []
        large += [offset] if offset >= _LARGE else []
        extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        made_by = _UNIX << 8 | _VERSION_64
        fixed = struct.pack("<4sH", b"PK\1\2", made_by)
        common = struct.pack("<5H3I2H", *self._common(extra))
        rest = struct.pack("<3H2I", 0, 0, 0, _MODE, _or_in_zip64(offset))
        return fixed + common + rest + self.name + extra


class BundleZip:
    """The zip of a bundle; its files were read once and are as bundle.json says.

    Args:
        bundle: a verified bundle.
        folder: the folder inside the zip.

    Raises:
        ModelNotReady: a file was replaced or removed since the bundle was loaded.
    """

    def __init__(self, bundle: Bundle, folder: str) -> None:
        names = [*bundle.manifest.files, MANIFEST]
        if bundle.path(MODEL_CARD).is_file() and MODEL_CARD not in names:
            names.append(MODEL_CARD)
        try:
            self._members = [_member(bundle, name, folder) for name in names]
        except OSError as err:
            raise ModelNotReady(
                f"A file of model {bundle.manifest.name!r} can't be read ({err.strerror}). Reload "
                "the model."
            ) from err
        offset = 0
        directory = []
        for member in self._members:
            directory.append(member.central_header(offset))
            offset += len(member.local_header()) + member.size
        self._end = b"".join(directory)
        self._end += _end(len(directory), len(self._end), offset)
        self.length = offset + len(self._end)
        """Bytes of the zip."""

    def pieces(self) -> Iterator[bytes]:
        """Yield the zip, at most 256 KiB at a time.

        Raises:
            OSError: a file can't be read any more, or is shorter.
        """
        for member in self._members:
            yield member.local_header()
            left = member.size
            with member.path.open("rb") as file:
                while left:
                    piece = file.read(min(left, _PIECE_BYTES))
                    if not piece:
                        raise OSError(f"{member.path} became shorter while it was sent")
                    left -= len(piece)
                    yield piece
        yield self._end


def _member(bundle: Bundle, name: str, folder: str) -> _Member:
    """Read a file of a bundle, and check that it is the one that was verified."""
    crc = size = 0
    sha256 = hashlib.sha256()
    path = bundle.path(name)
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            crc = zlib.crc32(piece, crc)
            sha256.update(piece)
            size += len(piece)
    record = bundle.manifest.files.get(name)
    if record is not None and record.sha256 != sha256.hexdigest():
        raise ModelNotReady(
            f"{name} of model {bundle.manifest.name!r} was replaced after the model was loaded. "
            "Reload the model."
        )
    return _Member(f"{folder}/{name}".encode(), path, size, crc)


def _end(entries: int, length: int, offset: int) -> bytes:
    """Return the records after the directory."""
    zip64 = b""
    if offset + length >= _LARGE:
        zip64 = struct.pack(
            "<4sQ2H2I4Q",
            *(b"PK\6\6", 44, _UNIX << 8 | _VERSION_64, _VERSION_64, 0, 0),
            *(entries, entries, length, offset),
        ) + struct.pack("<4sIQI", b"PK\6\7", 0, offset + length, 1)
    return zip64 + struct.pack(
        "<4s4H2IH", b"PK\5\6", 0, 0, entries, entries, length, _or_in_zip64(offset), 0
    )


def _or_in_zip64(number: int) -> int:
    return _IN_ZIP64 if number >= _LARGE else number
