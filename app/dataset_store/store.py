"""All datasets of a data folder: created, listed, changed and deleted.

One service has the data folder (`app.captures.Store.claim`), and one thread at a time changes
datasets. Photos are checked and written before that, on the threads of their requests.
"""

import bisect
import logging
import os
import re
import shutil
import threading
import uuid
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from app.dataset_store import dataset_folder
from app.dataset_store.content import Content, Dataset, StoredPhoto
from app.dataset_store.dataset_change import DatasetChange, DatasetLimits
from app.dataset_store.incoming import (
    Added,
    AddedPhoto,
    ReadyPhoto,
    SentPhoto,
    batches,
    remove_files,
)
from app.dataset_store.names import check_name, is_name
from app.dataset_store.photo_check import PhotoCheck, displayed_size
from app.durable_files import sync
from app.errors import BadParameter, HubelError, StoreFailed, UnknownDataset, UnknownPhoto

log = logging.getLogger("hubel")

FOLDER = "datasets"
"""The folder of the datasets in HUBEL_DATA_DIR."""
_INCOMING, _DELETED = ".incoming", ".deleted-"
_WRITTEN = re.compile(r"[0-9a-f]{32}\.(photo|body|table)")
_THREADS = 4


class DatasetStore:
    """The datasets in a data folder; a context manager for the life of the service.

    Args:
        data_dir: the folder of HUBEL_DATA_DIR, which must exist.
        limits: the most that they may hold.
        check: the limits of a photo.

    Raises:
        BadParameter: the folder can't be written.
    """

    def __init__(self, data_dir: Path, limits: DatasetLimits, check: PhotoCheck) -> None:
        self.limits = limits
        self.executor = ThreadPoolExecutor(_THREADS, "datasets")
        """Threads for requests about datasets, so that a slow disk holds no others up."""
        self._check = check
        self._folder = data_dir / FOLDER
        self._incoming = self._folder / _INCOMING
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._incoming.mkdir(mode=0o700, exist_ok=True)
        except OSError as err:
            raise BadParameter(
                f"{data_dir} can't keep datasets ({err}). Name a folder that this user may write "
                "in HUBEL_DATA_DIR."
            ) from err
        for path in self._incoming.iterdir():  # nothing is on its way yet
            if _WRITTEN.fullmatch(path.name):
                path.unlink(missing_ok=True)
        self._contents: dict[str, Content] = {}
        self._lock = threading.RLock()
        self._is_ending = threading.Event()

    def __enter__(self) -> Self:
        """Begin to remove what an interrupted change left."""
        self.executor.submit(self.repair)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the threads, each after the photos that it is adding."""
        self._is_ending.set()
        self.executor.shutdown(wait=False, cancel_futures=True)

    def repair(self) -> None:
        """Remove what a killed process left: datasets half deleted, and files without a row."""
        with self._lock:
            for path in self._folder.glob(f"{_DELETED}*"):
                self._remove_deleted(path)
        self.list_datasets()

    def names(self) -> list[str]:
        """Return the names of all datasets, sorted."""
        with os.scandir(self._folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
        return sorted(name for name in names if dataset_folder.is_dataset(self._folder / name))

    def new_file(self) -> Path:
        """Return the path of a file for a body, on the disk of the datasets."""
        return self._incoming / f"{uuid.uuid4().hex}.body"

    def folder(self, name: str) -> Path:
        """Return the folder of a dataset, as `hubel train` reads it.

        Raises:
            UnknownDataset: there is none of this name.
        """
        folder = self._folder / name
        if not is_name(name) or not dataset_folder.is_dataset(folder):
            raise UnknownDataset(f"There is no dataset {name!r}. Send photos to make it.")
        return folder

    def link_into(self, name: str, folder: Path) -> int:
        """Put the dataset as it is now into a new `folder`, by hard links where that is possible.

        Returns:
            The number of photos.

        Raises:
            UnknownDataset: there is none of this name.
            OSError: the folder can't be written.
        """
        with self._lock:
            source, content = self.folder(name), self._content(name)
            folder.mkdir(parents=True)
            for entry in content:
                target = folder / entry.file
                target.parent.mkdir(parents=True, exist_ok=True)
                _link_or_copy(source / entry.file, target)
            if content.has_table:
                shutil.copyfile(source / dataset_folder.TABLE, folder / dataset_folder.TABLE)
            return len(content)

    def show(self, name: str) -> Dataset:
        """Return the figures of a dataset.

        Raises:
            UnknownDataset: there is none of this name.
            StoreFailed: it can't be read.
        """
        with self._lock:
            return self._content(name).summary(name)

    def list_datasets(self) -> list[Dataset]:
        """Return the figures of all datasets; those that can't be read are left out, and logged."""
        found = []
        for name in self.names():
            try:
                found.append(self.show(name))
            except UnknownDataset:  # deleted meanwhile
                continue
            except (HubelError, OSError) as err:
                log.warning("dataset %s can't be read (%s)", name, err)
        return found

    def add(self, name: str, sent: Iterable[SentPhoto], *, move: bool = False) -> Added:
        """Add photos to a dataset, and make it if there is none.

        Args:
            name: the dataset.
            sent: the photos.
            move: whether a photo that is there under other labels gets these instead.

        Raises:
            BadParameter: the name is none, or belongs to another folder.
            OSError: the disk can't be written; what was added before stays.
            StoreFailed: the dataset can't be read.
        """
        check_name(name)
        added = Added()
        for batch in batches(sent, self._check, self._incoming):
            try:
                if self._is_ending.is_set():
                    raise StoreFailed("The service ended before it had all photos. Send the rest.")
                with self._lock:
                    added.results += self._add(name, batch, move=move)
            finally:
                remove_files(batch)
        return added

    def _add(
        self, name: str, batch: Sequence[ReadyPhoto | AddedPhoto], *, move: bool
    ) -> list[AddedPhoto]:
        if not any(isinstance(photo, ReadyPhoto) for photo in batch):
            return [photo for photo in batch if isinstance(photo, AddedPhoto)]
        if not dataset_folder.is_dataset(self._folder / name):
            dataset_folder.make(self._folder / name)
            self._contents.pop(name, None)
        room = self._room()
        with self._change(name) as change:
            return [
                photo if isinstance(photo, AddedPhoto) else change.add(photo, room, move=move)
                for photo in batch
            ]

    def _room(self) -> DatasetLimits:
        """Return what may still be added to all datasets together."""
        size = photos = 0
        for name in self.names():
            try:
                content = self._content(name)
            except StoreFailed:  # a broken one holds no other up
                continue
            size, photos = size + content.bytes, photos + len(content)
        return DatasetLimits(self.limits.bytes - size, self.limits.photos - photos)

    @contextmanager
    def _change(self, name: str) -> Generator[DatasetChange, None, None]:
        """Yield a change of a dataset, alone; if it fails, the folder is read again."""
        with self._lock:
            change = DatasetChange(self.folder(name), self._content(name))
            try:
                yield change
                change.finish()
            except BaseException:
                self._contents.pop(name, None)
                raise

    def relabel(self, name: str, rename: Mapping[str, str], remove: Sequence[str]) -> Dataset:
        """Rename labels of a dataset, or merge them where the new one exists; remove others.

        Photos that have a removed label alone are deleted.

        Raises:
            UnknownDataset: there is none of this name.
            BadParameter: there is no such label, or a label is both renamed and a new name.
            OSError: the disk can't be written.
        """
        with self._change(name) as change:
            change.relabel(rename, remove)
        return self.show(name)

    def delete_photos(self, name: str, ids: Sequence[str]) -> int:
        """Delete photos; return how many of `ids` there were.

        Raises:
            UnknownDataset: there is no dataset of this name.
            OSError: the disk can't be written.
        """
        with self._change(name) as change:
            return sum(change.delete(id) for id in dict.fromkeys(ids))

    def delete(self, name: str) -> int:
        """Delete a dataset; files that Hubel didn't make stay. Return the number of its photos.

        Raises:
            UnknownDataset: there is none of this name.
            OSError: it can't be deleted.
        """
        with self._lock:
            folder, photos = self.folder(name), len(self._content(name))
            deleted = self._folder / f"{_DELETED}{uuid.uuid4().hex[:8]}-{name}"
            folder.rename(deleted)
            self._contents.pop(name, None)
            sync(self._folder)
            self._remove_deleted(deleted)
            return photos

    def _remove_deleted(self, folder: Path) -> None:
        """Remove Hubel's files of a dataset; what is left gets the dataset's name again."""
        dataset_folder.remove_all(folder)
        name = folder.name.removeprefix(_DELETED).partition("-")[2]
        if folder.exists() and not os.path.lexists(self._folder / name):
            folder.rename(self._folder / name)
            log.warning("dataset %s is deleted; files that Hubel didn't make stay", name)

    def photos(
        self, name: str, label: str | None, after: tuple[int, str] | None, count: int
    ) -> tuple[list[StoredPhoto], tuple[int, str] | None]:
        """Return a page of photos, the newest first, and the position of its last one.

        Args:
            name: the dataset.
            label: only photos with this label; None: all.
            after: the position after which the page begins: time and id; None: the first page.
            count: photos of the page.

        Raises:
            UnknownDataset: there is no dataset of this name.
        """
        with self._lock:
            folder, content = self.folder(name), self._content(name)
            ids = content.newest_first()
            begin = 0
            if after is not None:
                begin = bisect.bisect_right(ids, (-after[0], after[1]), key=content.position)
            found: list[str] = []
            for id in ids[begin:]:
                if label is None or label in content.labels_of(id):
                    found.append(id)
                    if len(found) > count:
                        break
            end = None
            if len(found) > count:
                time_ns, last = content.position(found[count - 1])
                end = -time_ns, last
            entries = [(content.of(id)[0], content.labels_of(id)) for id in found[:count]]
        page = [
            StoredPhoto(
                entry.id, labels, entry.bytes, entry.format, *self._size(folder / entry.file)
            )
            for entry, labels in entries
        ]
        return page, end

    def _size(self, path: Path) -> tuple[int, int]:
        try:
            return displayed_size(path.read_bytes(), self._check.limits)
        except (OSError, HubelError):  # deleted meanwhile, or the limits are lower now
            return 0, 0

    def photo(self, name: str, id: str) -> tuple[Path, str, int]:
        """Return the file of a photo, its format and its bytes.

        Raises:
            UnknownDataset: there is no dataset of this name.
            UnknownPhoto: it has no such photo.
        """
        with self._lock:
            folder, entries = self.folder(name), self._content(name).of(id)
        if not entries:
            raise UnknownPhoto(f"The dataset {name!r} has no photo {id}. It may be deleted.")
        return folder / entries[0].file, entries[0].format, entries[0].bytes

    def _content(self, name: str) -> Content:
        folder = self.folder(name)
        if name not in self._contents:
            self._contents[name] = dataset_folder.read(folder)
        return self._contents[name]


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
