"""A change of one dataset: files are added, then labels.csv is replaced, then files are removed.

So a process that is killed in between leaves a file without a row, which `dataset_folder.read`
removes, and never a row without its file. Without labels.csv each file changes at once.
"""

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.dataset.label_folder import PHOTOS, is_folder
from app.dataset_store import dataset_folder
from app.dataset_store.content import Content, Entry
from app.dataset_store.incoming import AddedPhoto, ReadyPhoto, Status
from app.dataset_store.names import check_label, hashed_folder
from app.durable_files import sync
from app.errors import BadParameter, StoreFailed, StoreFull

_SHOWN = 10


@dataclass(frozen=True)
class DatasetLimits:
    """The most that all datasets together may hold."""

    bytes: int
    photos: int


class DatasetChange:
    """Changes the content of a dataset and its files; `finish` ends it.

    Args:
        folder: the dataset's.
        content: what it holds; changed in place.
    """

    def __init__(self, folder: Path, content: Content) -> None:
        self.more_bytes = 0
        """Bytes that were added."""
        self.more_photos = 0
        self._folder = folder
        self._content = content
        self._several = content.has_several
        self._needs_table = content.needs_table()
        self._spelling = {label.casefold(): label for label in content.labels}
        self._synced: set[Path] = set()
        self._removed: list[str] = []
        self._changed = False

    def add(self, photo: ReadyPhoto, room: DatasetLimits, *, move: bool) -> AddedPhoto:
        """Add a photo, or labels to one that is there.

        Args:
            photo: the photo, whose file is moved into the dataset.
            room: what may be added to all datasets by this change.
            move: whether its labels replace those that it has.
        """
        labels = self._spelled(photo.labels)
        if len(labels) != 1:
            self._several = self._several or len(labels) > 1
            self._needs_table = True
        entries = self._content.of(photo.id)
        is_clash = (
            not (move or self._several)
            and len(labels) == 1
            and all(entry.labels and entry.labels != labels for entry in entries)
        )
        if entries and not is_clash:
            status = self._relabel_photo(entries, labels, move=move)
        elif photo.bytes > room.bytes - self.more_bytes or (
            not entries and room.photos <= self.more_photos
        ):
            return AddedPhoto(photo.file, problem=_full())
        else:
            self._place(photo, labels)
            self.more_photos += not entries
            self.more_bytes += photo.bytes
            status = "added"
        return AddedPhoto(photo.file, photo.id, self._content.labels_of(photo.id), status)

    def _relabel_photo(
        self, entries: Sequence[Entry], labels: tuple[str, ...], *, move: bool
    ) -> Status:
        """Give a photo other labels, or more of them; return what that is."""
        before = self._content.labels_of(entries[0].id)
        if before and not (move or self._several):
            return "present"
        after = labels if move else tuple(dict.fromkeys((*before, *labels)))
        if set(after) == set(before) and (len(entries) == 1 or not self._several):
            return "present"
        keep = next((entry for entry in entries if entry.labels == after), entries[0])
        for entry in entries:
            if entry is not keep:
                self._discard(entry)
        self._relabel(keep, after)
        return "moved" if move else "added"

    def relabel(self, rename: Mapping[str, str], remove: Iterable[str]) -> None:
        """Rename labels, and remove others; see `DatasetStore.relabel`.

        Raises:
            BadParameter: there is no such label, or a new name can't be used.
        """
        removed = set(remove)
        renamed = {old: check_label(new) for old, new in rename.items()}
        self._check(renamed, removed)
        for old, new in renamed.items():
            other = self._spelling.get(new.casefold(), old)
            renamed[old] = new if other in rename else other
        self._needs_table = self._needs_table or not all(map(is_folder, renamed.values()))
        for entry in list(self._content):
            left = (label for label in entry.labels if label not in removed)
            labels = tuple(dict.fromkeys(renamed.get(label, label) for label in left))
            if labels == entry.labels:
                continue
            others = self._content.of(entry.id)
            if not labels or any(each.labels == labels for each in others if each is not entry):
                self._discard(entry)
            else:
                self._relabel(entry, labels)

    def _check(self, renamed: Mapping[str, str], removed: set[str]) -> None:
        known = self._content.labels
        for label in (*renamed, *removed):
            if label not in known:
                shown = ", ".join(list(known)[:_SHOWN])
                raise BadParameter(f"The dataset has no label {label[:200]!r}. It has: {shown}.")
        for label in (*renamed, *renamed.values()):
            if label in removed or (label in renamed and label in renamed.values()):
                if renamed.get(label) == label:
                    continue
                raise BadParameter(
                    f"The label {label!r} stands twice in the change. Send it as two requests."
                )

    def delete(self, id: str) -> bool:
        """Delete a photo; return whether it was there."""
        entries = self._content.of(id)
        for entry in entries:
            self._discard(entry)
        return bool(entries)

    def finish(self) -> None:
        """Write what is left to write, and remove files that belong to no photo any more.

        Raises:
            OSError: the disk can't be written.
        """
        if not self._changed:
            return
        if self._several:
            self._merge()
        if self._needs_table:
            dataset_folder.write_table(self._folder, self._content)
        for folder in self._synced:
            if folder.is_dir():
                sync(folder)
        held = {entry.file for entry in self._content} if self._removed else set()
        for file in self._removed:
            if file not in held:  # a photo may have come back to its first place
                dataset_folder.remove(self._folder, file)
        self._content.modified = dataset_folder.last_change(self._folder)

    def _merge(self) -> None:
        """Make one file of each photo, since a photo may have several labels now."""
        for entry in list(self._content):
            others = self._content.of(entry.id)
            if len(others) > 1 and others[0].file == entry.file:
                labels = self._content.labels_of(entry.id)
                for other in others[1:]:
                    self._discard(other)
                self._relabel(entry, labels)

    def _place(self, photo: ReadyPhoto, labels: tuple[str, ...]) -> None:
        """Move the file of a photo into the dataset."""
        file = self._free_file(photo.name, labels)
        self._rename(photo.path, file)
        status = (self._folder / file).stat()
        self._content.put(
            Entry(file, photo.id, photo.format, labels, status.st_size, status.st_mtime_ns)
        )

    def _relabel(self, entry: Entry, labels: tuple[str, ...]) -> None:
        """Change the labels of a file: by moving it, or in the table alone."""
        if labels == entry.labels:
            return
        file = entry.file
        if not self._needs_table:
            file = self._free_file(entry.file.rpartition("/")[2], labels)
            self._rename(self._folder / entry.file, file)
            self._removed.append(entry.file)  # its folder may be empty now
            self._content.discard(entry)
        self._changed = True
        self._content.put(replace(entry, file=file, labels=labels))

    def _discard(self, entry: Entry) -> None:
        self._changed = True
        self._content.discard(entry)
        self._removed.append(entry.file)

    def _free_file(self, name: str, labels: tuple[str, ...]) -> str:
        """Return where a new file of these labels goes; anywhere else needs the table."""
        label = labels[0] if len(labels) == 1 else ""
        if label and is_folder(label) and self._is_free(label, name):
            return f"{label}/{name}"
        self._needs_table = True
        if not _is_usable(self._folder / PHOTOS):
            raise StoreFailed(
                f"The dataset needs a folder {PHOTOS}, and a file or a link has this name in "
                f"{self._folder}. Rename it."
            )
        if not label and self._is_free(PHOTOS, name):
            return f"{PHOTOS}/{name}"
        for number in itertools.count():
            folder = hashed_folder(label, number)
            if self._is_free(folder, name):
                return f"{folder}/{name}"
        raise AssertionError

    def _is_free(self, folder: str, name: str) -> bool:
        path = self._folder / folder
        return _is_usable(path) and not os.path.lexists(path / name)

    def _rename(self, path: Path, file: str) -> None:
        target = self._folder / file
        for parent in (target.parent.parent, target.parent):
            if not parent.exists():
                parent.mkdir(mode=0o700)
                self._synced.add(parent.parent)
        path.rename(target)
        self._synced.add(target.parent)
        self._changed = True

    def _spelled(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Return labels as the dataset spells them: training ignores their case."""
        return tuple(
            dict.fromkeys(self._spelling.setdefault(label.casefold(), label) for label in labels)
        )


def _is_usable(folder: Path) -> bool:
    """Return whether a folder is there and no link, or can be made."""
    return not os.path.lexists(folder) or (folder.is_dir() and not folder.is_symlink())


def _full() -> StoreFull:
    return StoreFull(
        "The datasets are full. Delete photos, or raise HUBEL_DATASET_MAX_BYTES and "
        "HUBEL_DATASET_MAX_PHOTOS."
    )
