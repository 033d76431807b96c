"""List and read files on disk: in order, one folder's names in memory at a time.

folder -> files, with size and time of their last change
       -> what is skipped: links back to a folder, pipes and devices, hidden files silently
pattern -> the same, of every match
"""

import fnmatch
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.dataset.files import is_photo
from app.errors import BadParameter
from app.sources.addresses import has_pattern, names_photo, shard_kind
from app.sources.entry import Skipped, require_size

Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is listed."""

    address: str
    size: int | None = None
    """Bytes; None: not known."""
    tag: str = ""
    """A stamp that changes when the file does."""
    identity: Identity | None = None
    """Of a file on disk: device and inode."""


@dataclass
class Walk:
    """Lists files; each folder once, whatever links and sources lead to it.

    Args:
        left_out: folders that are left out: those of the output.
    """

    left_out: frozenset[Identity] = frozenset()
    _seen: set[Identity] = field(default_factory=set)

    def below(self, path: str, *, is_match: bool = False) -> Iterator[Found | Skipped]:
        """Yield a file itself, or the photos and shards below a folder, in order.

        Args:
            path: the file or folder.
            is_match: it is known from a pattern; a pipe is read only if a source names it.
        """
        status = _status(path)
        if status is None or not stat.S_ISDIR(status.st_mode):
            if is_match and status is not None and not stat.S_ISREG(status.st_mode):
                yield Skipped(path, "it is no regular file")
            else:
                yield _found(path, status)
            return
        identity = (status.st_dev, status.st_ino)
        if identity in self._seen:
            yield Skipped(path, "it is a folder that is read already", is_repeat=True)
        elif identity not in self.left_out:
            self._seen.add(identity)
            yield from self._inside(path)

    def has_listed(self, file: str) -> bool:
        """Return whether a file was found in a folder: not if it was hidden or skipped there."""
        folder, status = _status(os.path.dirname(file) or "."), _status(file)
        if folder is None or (folder.st_dev, folder.st_ino) not in self._seen:
            return False
        if status is not None and not stat.S_ISREG(status.st_mode):
            return False
        return not os.path.basename(file).startswith(".") and _is_source(file)

    def _inside(self, folder: str) -> Iterator[Found | Skipped]:
        try:
            names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        except OSError:
            yield Found(folder)  # reading it gives the error
            return
        for name in names:
            path = name if folder == "." else os.path.join(folder, name)
            status = _status(path)
            if status is not None and stat.S_ISDIR(status.st_mode):
                yield from self.below(path)
            elif status is not None and not stat.S_ISREG(status.st_mode):
                yield Skipped(path, "it is no regular file")
            elif _is_source(path):
                yield _found(path, status)
            else:
                yield Skipped(path, "it is no photo")


def _is_source(path: str) -> bool:
    return bool(shard_kind(path)) or names_photo(path) or is_photo(Path(path))


def matches(pattern: str) -> Iterator[str]:
    """Yield the paths that a pattern matches once, in order; hidden ones only if it names the dot.

    After `**` only files match, so that nothing in a folder is named with it.
    """
    parts = [part for part in pattern.split("/") if part]
    files_only = "**" in parts
    if parts[-1:] == ["**"]:
        parts.append("*")
    yield from _matches("/" if pattern.startswith("/") else "", parts, files_only, set())


def _matches(
    folder: str, parts: list[str], files_only: bool, searched: set[tuple[str, int]]
) -> Iterator[str]:
    """Yield the matches of the last parts of a pattern below a folder.

    Args:
        folder: a match of the parts before.
        parts: the parts that are left.
        files_only: whether no folder matches.
        searched: the folders so far, with the number of parts; several `**` lead to the same.
    """
    if not parts:
        if not (files_only and os.path.isdir(folder)):
            yield folder
        return
    if (folder, len(parts)) in searched:
        return
    searched.add((folder, len(parts)))
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _matches(folder, rest, files_only, searched)
        for name in _names(folder):
            path = os.path.join(folder, name)
            if os.path.isdir(path) and not os.path.islink(path):
                yield from _matches(path, parts, files_only, searched)
    else:
        for path in _named(folder, part):
            if not rest or os.path.isdir(path):
                yield from _matches(path, rest, files_only, searched)


def _named(folder: str, part: str) -> Iterator[str]:
    """Yield what a part of a pattern matches in a folder."""
    if not has_pattern(part):
        path = os.path.join(folder, part)
        if os.path.lexists(path):
            yield path
        return
    for name in _names(folder, hidden=part.startswith(".")):
        if fnmatch.fnmatchcase(name, part):
            yield os.path.join(folder, name)


def _names(folder: str, *, hidden: bool = False) -> list[str]:
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return []
    return sorted(name for name in names if hidden or not name.startswith("."))


def read_file(path: str, max_bytes: int) -> bytes:
    """Return the bytes of a file.

    Raises:
        BadParameter: it can't be read.
        TooManyBytes: it is larger than `max_bytes`.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            require_size(os.fstat(file.fileno()).st_size, max_bytes)
            data = file.readall() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
            while not data or len(data) <= max_bytes:  # a pipe, or a file that grows
                more = file.read(max_bytes + 1 - len(data))
                if not more:
                    break
                data += more
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) else err
        raise BadParameter(f"{path} can't be read ({reason}).") from err
    require_size(len(data), max_bytes)
    return data


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):  # a broken link, a cycle of links, a name with a null byte
        return None


def _found(path: str, status: os.stat_result | None) -> Found:
    if status is None:
        return Found(path)
    identity = (status.st_dev, status.st_ino)
    if not stat.S_ISREG(status.st_mode):
        return Found(path, identity=identity)
    return Found(path, status.st_size, str(status.st_mtime_ns), identity)
