"""Photos on their way into a dataset: sent, checked and written beside, added."""

import itertools
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.dataset_store.names import EXTENSIONS
from app.dataset_store.photo_check import PhotoCheck
from app.durable_files import write_whole
from app.errors import HubelError

BATCH = 128
"""Photos that are renamed into a dataset at one time."""

Status = Literal["added", "present", "moved"]


@dataclass(frozen=True)
class SentPhoto:
    """A photo as it was sent."""

    file: str
    """The name that was sent, for the response alone."""
    data: bytes | HubelError
    """The error: the file could not be unpacked."""
    labels: tuple[str, ...]
    """Checked before."""


@dataclass(frozen=True)
class AddedPhoto:
    """The result for a photo."""

    file: str
    id: str | None = None
    labels: tuple[str, ...] = ()
    status: Status | None = None
    problem: HubelError | None = None


@dataclass
class Added:
    """The results for all photos of a request."""

    results: list[AddedPhoto] = field(default_factory=list)

    def count(self, status: Status) -> int:
        """Return the number of photos with a status."""
        return sum(each.status == status for each in self.results)


@dataclass(frozen=True)
class ReadyPhoto:
    """A photo that was checked and lies beside the datasets, on the same disk."""

    file: str
    path: Path
    id: str
    format: str
    bytes: int
    labels: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its file in a dataset."""
        return f"{self.id}.{EXTENSIONS[self.format]}"


def batches(
    sent: Iterable[SentPhoto], check: PhotoCheck, folder: Path
) -> Iterator[list[ReadyPhoto | AddedPhoto]]:
    """Check photos and write them into `folder`; yield them in their order, some at a time.

    Args:
        sent: the photos; one is in memory at a time.
        check: the limits.
        folder: where the files are written.

    Raises:
        OSError: a file can't be written. As after any error, the files of the batch are removed.
    """
    photos = iter(sent)
    while True:
        batch: list[ReadyPhoto | AddedPhoto] = []
        try:
            batch.extend(_ready(photo, check, folder) for photo in itertools.islice(photos, BATCH))
        except BaseException:
            remove_files(batch)
            raise
        if not batch:
            return
        yield batch


def remove_files(batch: Iterable[ReadyPhoto | AddedPhoto]) -> None:
    """Remove the files of photos that were not moved into a dataset."""
    for photo in batch:
        if isinstance(photo, ReadyPhoto):
            photo.path.unlink(missing_ok=True)


def _ready(photo: SentPhoto, check: PhotoCheck, folder: Path) -> ReadyPhoto | AddedPhoto:
    if isinstance(photo.data, HubelError):
        return AddedPhoto(photo.file, problem=photo.data)
    try:
        checked = check(photo.data)
    except HubelError as err:
        return AddedPhoto(photo.file, problem=err)
    path = folder / f"{uuid.uuid4().hex}.photo"
    write_whole(path, checked.data)
    size = len(checked.data)
    return ReadyPhoto(photo.file, path, checked.id, checked.format, size, photo.labels)
