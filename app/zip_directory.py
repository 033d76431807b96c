"""The directory of a zip, checked before anything of it is unpacked or read into memory.

end record (zip64's, too) -> size of the directory, within its limit -> entries, counted
                          -> sizes: bytes unpacked, their ratio to the file, no shared data

Python's zipfile reads the whole directory into objects when it opens a zip, so its size is checked
before that. A zip whose entries share data, as some bombs do, holds more packed bytes than it has.
"""

import errno
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.errors import BadArchive, TooManyBytes

_END, _END_BYTES = b"PK\5\6", 22
_END_64, _LOCATOR_64 = b"PK\6\6", b"PK\6\7"
_LOCATOR_64_BYTES, _END_64_BYTES = 20, 56
_MAX_COMMENT = 65_535
_ENTRY, _ENTRY_BYTES = b"PK\1\2", 46
_UNKNOWN_32 = 0xFFFFFFFF
_MEAN_NAME_BYTES = 512
"""The mean length of names, extra fields and comments that is allowed, in a long directory."""
_MIN_DIRECTORY = 1024 * 1024
_ENCRYPTED, _UTF8 = 0x1, 0x800
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNIX = 3
_MIB = 1024 * 1024
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
)
"""Exceptions of zipfile about broken zips."""


@dataclass(frozen=True)
class ZipLimits:
    """The most that a zip may hold."""

    entries: int
    bytes: int
    """Of all files, unpacked."""
    ratio: float
    """Of the unpacked bytes to those of the zip; small zips may have 1 MiB whatever their ratio."""


@dataclass(frozen=True)
class ZipFile:
    """A file in a zip."""

    path: tuple[str, ...]
    """The names of its folders and its own."""
    info: zipfile.ZipInfo

    @property
    def name(self) -> str:
        """The path as text."""
        return "/".join(self.path)


@dataclass(frozen=True)
class ZipContent:
    """The files of a zip that can be used, and the names of others with the reason."""

    files: Sequence[ZipFile]
    skipped: Sequence[tuple[str, str]]


def read_directory(path: Path, limits: ZipLimits) -> tuple[zipfile.ZipFile, ZipContent]:
    """Open a zip and return its content; close it after use.

    Raises:
        BadArchive: it is no zip, or a broken one.
        TooManyBytes: it is beyond the limits.
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        _check_directory(file, path.stat().st_size, limits)
    try:
        archive = zipfile.ZipFile(path)
    except ZIP_ERRORS as err:
        raise _broken() from err
    try:
        _check_sizes(archive.infolist(), path.stat().st_size, limits)
        return archive, _content(archive.infolist())
    except BaseException:
        archive.close()
        raise


def _check_directory(file: IO[bytes], size: int, limits: ZipLimits) -> None:
    """Check the length of the directory and the number of its entries."""
    begin, length = _directory_place(file, size)
    most = max(_MIN_DIRECTORY, limits.entries * (_ENTRY_BYTES + _MEAN_NAME_BYTES))
    if length > min(size, most):
        raise TooManyBytes(
            f"The zip has a directory of {length} bytes; {min(size, most)} are allowed. Send "
            "fewer files at once, with shorter names."
        )
    if begin < 0:
        raise _broken()
    file.seek(begin)
    if (entries := file.read(length).count(_ENTRY)) > limits.entries:
        raise TooManyBytes(
            f"The zip has {entries} files or more; {limits.entries} are allowed. Send fewer at "
            "once."
        )


def _directory_place(file: IO[bytes], size: int) -> tuple[int, int]:
    """Return where the directory begins, negative in a broken zip, and its length.

    It is the one that zipfile reads. Python 3.11 reads the end record of zip64 directly before its
    locator and ignores the offset in it, which other programs use, so both must be the same place.

    Raises:
        BadArchive: there is no end record, or the one of zip64 is elsewhere.
    """
    tail_bytes = min(size, _END_BYTES + _MAX_COMMENT + 1)
    file.seek(size - tail_bytes)
    tail = file.read(tail_bytes)
    at = tail.rfind(_END)
    if at < 0 or at + _END_BYTES > len(tail):
        raise _broken()
    (length,) = struct.unpack_from("<I", tail, at + 12)
    end = size - tail_bytes + at
    file.seek(max(0, end - _LOCATOR_64_BYTES))
    locator = file.read(_LOCATOR_64_BYTES)
    if end >= _LOCATOR_64_BYTES and locator[:4] == _LOCATOR_64:
        (place,) = struct.unpack_from("<Q", locator, 8)
        end -= _LOCATOR_64_BYTES + _END_64_BYTES
        if place != end:
            raise _broken()
        file.seek(place)
        record = file.read(_END_64_BYTES)
        if record[:4] != _END_64:
            raise _broken()
        (length,) = struct.unpack_from("<Q", record, 40)
    return end - length, length


def _check_sizes(infos: Sequence[zipfile.ZipInfo], size: int, limits: ZipLimits) -> None:
    for info in infos:
        if not 0 <= info.header_offset < size or min(info.file_size, info.compress_size) < 0:
            raise _broken()
    unpacked = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if packed > size:
        raise BadArchive("The files in the zip share their data. Make an ordinary zip of them.")
    if unpacked > limits.bytes:
        raise TooManyBytes(
            f"The zip has {unpacked} bytes unpacked; {limits.bytes} are allowed. Send it in parts."
        )
    if unpacked > max(_MIB, limits.ratio * size):
        raise TooManyBytes(
            f"The zip unpacks to {unpacked} bytes, over {limits.ratio:g} times its own size. Send "
            "photos in it that are compressed themselves, such as JPEG or PNG."
        )


def _content(infos: Sequence[zipfile.ZipInfo]) -> ZipContent:
    files, skipped = [], []
    seen: set[tuple[str, ...]] = set()
    for info in infos:
        name = _name(info)
        if name.endswith("/"):
            continue
        path = tuple(part for part in name.split("/") if part != ".")
        reason = _reason(info, name, path) or ("its name comes twice" if path in seen else None)
        seen.add(path)
        if reason:
            skipped.append((name[:200], reason))
        else:
            files.append(ZipFile(path, info))
    return ZipContent(files, skipped)


def _name(info: zipfile.ZipInfo) -> str:
    """Return a name with `/`, in UTF-8 where it can be that: many programs don't set its flag."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name.replace("\\", "/")


def _reason(info: zipfile.ZipInfo, name: str, path: tuple[str, ...]) -> str | None:
    """Return why a file isn't used, or None."""
    mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
    checks = (
        (name.startswith("/") or ":" in "".join(path[:1]), "its path is absolute"),
        (".." in path, "its path has .."),
        (not path or not all(path) or not name.isprintable(), "its name is odd"),
        (any(p.startswith(".") or p == "__MACOSX" for p in path), "it is hidden"),
        (stat.S_IFMT(mode) not in (0, stat.S_IFREG), "it is a link, or no file"),
        (bool(info.flag_bits & _ENCRYPTED), "it is encrypted"),
        (info.compress_type not in _METHODS, "it is compressed in a way that isn't read"),
    )
    return next((reason for is_so, reason in checks if is_so), None)


def _broken() -> BadArchive:
    return BadArchive("The body is no zip, or is broken or cut short. Make the zip again.")


def read_file(archive: zipfile.ZipFile, file: ZipFile, max_bytes: int) -> bytes:
    """Return the content of a file, of which at most `max_bytes` are unpacked.

    Raises:
        TooManyBytes: it is longer.
        BadArchive: it is broken.
        OSError: the zip can't be read.
    """
    if file.info.file_size > max_bytes:
        raise TooManyBytes(
            f"The file has {file.info.file_size:,} bytes; the limit is {max_bytes:,}."
        )
    try:
        with archive.open(file.info) as opened:
            return opened.read(max_bytes)
    except ZIP_ERRORS as err:
        raise _broken_file() from err
    except OSError as err:
        if err.errno != errno.EINVAL:
            raise
        raise _broken_file() from err  # its place in the zip is none


def _broken_file() -> BadArchive:
    return BadArchive("The file is broken in the zip. Make the zip again.")
