"""A shard: the photos that are read, and whose rows are written, as a whole."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import BinaryIO, Literal, cast

from app.errors import BadParameter, HubelError
from app.sources import parquet_shard, remote_files, tar_shard
from app.sources.addresses import is_remote
from app.sources.entry import Entry, ReadOptions, failed_photo
from app.sources.file_photo import file_photo

ShardKind = Literal["files", "tar", "parquet"]


@dataclass(frozen=True)
class ListedPhoto:
    """A photo of a shard of files."""

    address: str
    size: int | None
    """Bytes; None: not known."""
    is_listed: bool = False
    """Whether it was found below a source; otherwise the user has named it."""


@dataclass(frozen=True)
class Shard:
    """Some files, a tar file or a Parquet file. It can be sent to another process."""

    number: int
    """Its place in the run, from 0."""
    kind: ShardKind
    address: str = ""
    """Of a tar or Parquet file."""
    files: tuple[ListedPhoto, ...] = ()
    """Of a shard of files."""

    def line(self) -> str:
        """Return the shard as a line of JSON."""
        fields = asdict(self)
        fields["files"] = [[each.address, each.size, each.is_listed] for each in self.files]
        return json.dumps(fields)

    @classmethod
    def of_line(cls, line: str) -> "Shard":
        """Return the shard of a line of JSON."""
        fields = json.loads(line)
        fields["files"] = tuple(ListedPhoto(*each) for each in fields["files"])
        return cls(**fields)


def entries_of(shard: Shard, options: ReadOptions) -> Iterator[Entry]:
    """Yield the photos of a shard in order, and what is skipped.

    What can't be read is a photo whose `read` raises the error: nothing is left out.
    """
    if shard.kind == "files":
        for each in shard.files:
            yield file_photo(each.address, options, each.size, is_listed=each.is_listed)
        return
    try:
        file = _open(shard.address)
    except HubelError as err:
        yield failed_photo(shard.address, err)
        return
    read = tar_shard.photos_of if shard.kind == "tar" else parquet_shard.photos_of
    with closing(file):
        yield from read(shard.address, file, options)


def _open(address: str) -> BinaryIO:
    if is_remote(address):
        return remote_files.open_file(address)
    try:
        return cast(BinaryIO, open(address, "rb"))
    except OSError as err:
        raise BadParameter(f"{address} can't be read ({err.strerror}).") from err
