"""List the sources of a run once, and divide them into shards.

    sources -> braces -> patterns -> folders -> files, each once
    FILES_PER_SHARD photos -> a shard; every tar and Parquet file -> a shard of its own

The shards are written to a file, a line each, so that a run over any number of photos takes little
memory, and goes on with the same ones after it was killed.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from app.errors import BadParameter
from app.sources import addresses, remote_files
from app.sources.entry import Skipped
from app.sources.local_files import Found, Identity, Walk, matches
from app.sources.parquet_shard import require_pyarrow
from app.sources.shard import ListedPhoto, Shard

FILES_PER_SHARD = 500


@dataclass
class Plan:
    """The numbers of shards, photos and archives that a run reads."""

    shards: int = 0
    photos: int = 0
    """Photos in files of their own; those in shards aren't counted before they are read."""
    archives: int = 0
    """Tar and Parquet files."""
    skipped: int = 0
    fingerprint: str = ""
    """Changes when a file is added, removed or changed."""


@dataclass
class Planner:
    """Writes the shards of a run.

    Args:
        out: the file for the shards.
        on_skipped: called with everything that is skipped.
        on_file: called with every file, before anything is read.
        left_out: folders on disk that are left out: those of the output.
    """

    out: IO[str]
    on_skipped: Callable[[Skipped], None] = lambda _: None
    on_file: Callable[[Found], None] = lambda _: None
    left_out: frozenset[Identity] = frozenset()
    _plan: Plan = field(default_factory=Plan)
    _waiting: list[ListedPhoto] = field(default_factory=list)

    def plan(self, sources: Sequence[str]) -> Plan:
        """List the sources, write their shards, and return the plan.

        Raises:
            BadParameter: there is no such file, folder or object.
            SourceUnavailable: an object store can't be reached.
        """
        digest = hashlib.sha256()
        for found, is_named in _each_once(sources, self.left_out):
            if isinstance(found, Skipped):
                self._plan.skipped += 1
                self.on_skipped(found)
                continue
            self.on_file(found)
            line = f"{found.address}\0{found.size}\0{found.tag}\n"
            digest.update(line.encode("utf-8", "surrogatepass"))
            kind = addresses.shard_kind(found.address)
            if kind == "parquet":
                require_pyarrow(found.address)
            if kind is not None:
                self._write_files()
                self._plan.archives += 1
                self._write(Shard(self._plan.shards, kind, found.address))
                continue
            self._plan.photos += 1
            self._waiting.append(ListedPhoto(found.address, found.size, not is_named))
            if len(self._waiting) == FILES_PER_SHARD:
                self._write_files()
        self._write_files()
        self._plan.fingerprint = digest.hexdigest()
        return self._plan

    def _write_files(self) -> None:
        if self._waiting:
            self._write(Shard(self._plan.shards, "files", files=tuple(self._waiting)))
            self._waiting = []

    def _write(self, shard: Shard) -> None:
        self.out.write(f"{shard.line()}\n")
        self._plan.shards += 1


def read_shards(lines: IO[str]) -> Iterator[Shard]:
    """Yield the shards that a `Planner` wrote."""
    lines.seek(0)
    for line in lines:
        yield Shard.of_line(line)


def _each_once(
    sources: Sequence[str], left_out: frozenset[Identity]
) -> Iterator[tuple[Found | Skipped, bool]]:
    """Yield everything that sources mean once, and whether a source names it itself."""
    walk = Walk(left_out)
    may_repeat = len(sources) > 1 or any(
        addresses.has_braces(each) or ".." in each.split("/") for each in sources
    )
    named: set[str] = set()
    above: list[str] = []
    for source in sources:
        for place, is_named in _places(source, walk):
            if isinstance(place, Skipped):
                yield place, False
                continue
            if may_repeat:
                key = place.address if place.identity is None else os.path.abspath(place.address)
                if key in named or _lies_below(place.address, above):
                    yield _named_twice(place.address), False
                    continue
                if is_named:
                    named.add(key)
            yield place, is_named
        if source.startswith(addresses.LISTED) and not addresses.has_pattern(source):
            above.append(f"{source.rstrip('/')}/")


def _named_twice(address: str) -> Skipped:
    return Skipped(address, "it is named twice", is_repeat=True)


def _lies_below(address: str, above: Iterable[str]) -> bool:
    """Return whether an address was listed with those above it, which leaves hidden ones out."""
    return any(
        address.startswith(each) and not addresses.is_hidden(address.removeprefix(each))
        for each in above
    )


def _places(source: str, walk: Walk) -> Iterator[tuple[Found | Skipped, bool]]:
    """Yield the files of one source, and whether it names them itself."""
    if addresses.is_remote(source):
        for address in _expanded(source):
            yield from _remote_places(address)
        return
    for path, is_match in _local_paths(source):
        is_folder = False
        for found in walk.below(path, is_match=is_match):
            is_folder = is_folder or (isinstance(found, Skipped) or found.address != path)
            if not is_folder and isinstance(found, Found) and walk.has_listed(path):
                yield _named_twice(path), False
                continue
            yield found, not is_folder


def _expanded(source: str) -> Iterator[str]:
    return addresses.expand_braces(source) if addresses.has_braces(source) else iter([source])


def _remote_places(address: str) -> Iterator[tuple[Found | Skipped, bool]]:
    if not addresses.has_pattern(address) or not address.startswith(addresses.LISTED):
        for found in remote_files.list_below(address):
            yield found, found.address == address
        return
    pattern = addresses.compile_pattern(address)
    is_empty = True
    for found in remote_files.list_below(addresses.literal_part(address)):
        if pattern.fullmatch(found.address):
            is_empty = False
            yield found, True
    if is_empty:
        raise BadParameter(f"No file matches {address}. Correct the pattern.")


def _local_paths(source: str) -> Iterator[tuple[str, bool]]:
    """Yield the paths that a source means, and whether each matches its pattern.

    Raises:
        BadParameter: there are none.
    """
    if os.path.exists(source):
        yield _plain(source), False
        return
    is_empty = True
    for name in _expanded(source):
        if os.path.exists(name):
            is_empty = False
            yield _plain(name), False
        elif addresses.has_pattern(name):
            for path in matches(name):
                is_empty = False
                yield _plain(path), True
        elif addresses.has_braces(source):
            raise BadParameter(f"There is no {name}, which {source} names. Correct the numbers.")
    if is_empty:
        if addresses.has_pattern(source):
            raise BadParameter(f"No file matches {source}. Correct the pattern.")
        raise BadParameter(f"There is no {source}. Correct the path.")


def _plain(path: str) -> str:
    return str(Path(path))
