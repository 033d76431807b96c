"""Read the photos of a tar file: once, forward, one member in memory at a time.

    header -> a plain file: its size is checked, then it is read
           -> a link, a device, a sparse file: an error if it is named like a photo, else skipped
           -> damaged, or the file ends early: an error for the shard, after what was read

Nothing is written to disk, so names such as `../x` only show up in the rows. Tar files inside of
tar files are not opened.
"""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from app.errors import BadParameter, HubelError, TooManyBytes
from app.sources.addresses import names_photo
from app.sources.entry import (
    HEAD_BYTES,
    Entry,
    Photo,
    ReadOptions,
    Skipped,
    failed_photo,
    is_image,
    require_size,
)
from app.sources.errors import BrokenShard

_BLOCK = 512
_MAX_READ_BYTES = 1 << 20
"""The most that a header may take: names are shorter."""
_CHUNK_BYTES = 1 << 20
_DAMAGED = (
    tarfile.TarError, OSError, EOFError, ValueError, RecursionError, zlib.error, lzma.LZMAError,
)  # fmt: skip
_COMPRESSION = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}


def photos_of(address: str, file: BinaryIO, options: ReadOptions) -> Iterator[Entry]:
    """Yield the photos of a tar file and what is skipped; `file` is read forward alone."""
    reader = None
    try:
        content = _uncompressed(file)
        reader = _Forward(content, can_seek=content is file)
        with tarfile.open(fileobj=reader, mode="r:") as archive:  # type: ignore[call-overload]
            while (member := archive.next()) is not None:
                archive.members = []  # it would keep all of them
                yield from _entries(f"{address}/{member.name}", member, reader, options)
        reader.require_end()
    except _DAMAGED as err:
        place = 0 if reader is None else reader.tell()
        yield failed_photo(address, _broken(address, place, err))
    except HubelError as err:  # of an object store
        yield failed_photo(address, err)


def _entries(
    path: str, member: tarfile.TarInfo, reader: "_Forward", options: ReadOptions
) -> Iterator[Entry]:
    if member.size < 0:
        raise tarfile.ReadError("a header has a negative size")
    is_named = names_photo(member.name)
    if member.isdir():
        return
    if not member.isreg() or member.issparse():
        what = "a link" if member.islnk() or member.issym() else "no plain file"
        if is_named:
            error = BadParameter(f"{path} is {what} in the archive. Only plain files are read.")
            yield failed_photo(path, error)
        else:
            yield Skipped(path, f"it is {what}")
        return
    if member.size > options.max_bytes:
        yield _too_large(path, member, reader, options, is_named=is_named)
        return
    data = reader.read_exactly(member.size)
    if is_named or is_image(data[:HEAD_BYTES]):
        yield Photo(path, lambda: data, len(data))
    else:
        yield Skipped(path, "it is no photo")


def _too_large(
    path: str, member: tarfile.TarInfo, reader: "_Forward", options: ReadOptions, *, is_named: bool
) -> Entry:
    if not is_named and not is_image(reader.read_exactly(min(HEAD_BYTES, member.size))):
        return Skipped(path, "it is no photo")
    try:
        require_size(member.size, options.max_bytes)
    except TooManyBytes as err:
        return failed_photo(path, err, member.size)
    raise AssertionError  # it is too large


def _uncompressed(file: BinaryIO) -> BinaryIO:
    """Return the content of a file that may be compressed; by its first bytes, not its name."""
    head = file.read(6)
    file.seek(0)
    for magic, open_compressed in _COMPRESSION.items():
        if head.startswith(magic):
            return open_compressed(file, "rb")  # type: ignore[operator, no-any-return]
    return file


def _broken(address: str, place: int, err: Exception) -> BrokenShard:
    reason = str(err).splitlines()[0] if str(err) else type(err).__name__
    return BrokenShard(
        f"{address} can't be read beyond byte {place:,} ({reason}). The rows before this one are "
        "complete; make or copy the file again for the others."
    )


class _Forward:
    """A file that is read forward alone, and never much at once; tarfile reads headers from it."""

    def __init__(self, file: BinaryIO, *, can_seek: bool) -> None:
        self._file = file
        self._can_seek = can_seek
        self._place = 0
        self._last = b""

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> int:
        if place < self._place:
            raise tarfile.ReadError("its headers lead back")
        if self._can_seek and place - self._place > _CHUNK_BYTES:
            self._place = self._file.seek(place)  # beyond the end, the next read is empty
        while self._place < place:
            count = min(_CHUNK_BYTES, place - self._place)
            if not (skipped := self._file.read(count)):
                raise tarfile.ReadError("the file ends within a member")
            self._place += len(skipped)
        return self._place

    def read(self, count: int) -> bytes:
        """Read a header, or less at the end."""
        if not 0 <= count <= _MAX_READ_BYTES:
            raise tarfile.ReadError(f"a header of {count:,} bytes")
        self._last = self._file.read(count)
        self._place += len(self._last)
        return self._last

    def read_exactly(self, count: int) -> bytes:
        """Read the content of a member."""
        data = self._file.read(count)
        self._place += len(data)
        if len(data) < count:
            raise tarfile.ReadError("the file ends within a member")
        return data

    def require_end(self) -> None:
        """Check that the archive ends as one does: tarfile takes damage for its end."""
        if self._last != bytes(_BLOCK):
            cut = len(self._last) < _BLOCK
            raise tarfile.ReadError("the file ends too early" if cut else "a header is damaged")
        while rest := self._file.read(_CHUNK_BYTES):
            if rest.strip(b"\0"):
                raise tarfile.ReadError("more data follows the end of the archive")
            self._place += len(rest)
