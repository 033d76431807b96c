"""The content of a dataset: its photos with their labels, and warnings about them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.dataset.label_folder import is_folder

FEW = 10
"""With fewer photos of a label, a model learns little about it."""
_LISTED = 50
"""Photos that a warning names."""

WarningCode = Literal["too_few", "two_labels", "one_label"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a dataset with its labels."""

    file: str
    """Relative to the dataset's folder, with `/`."""
    id: str
    format: str
    labels: tuple[str, ...]
    """In a dataset with one label a photo, one; a photo under two labels is two files there."""
    bytes: int
    time_ns: int
    group: str = ""
    """The group that somebody's own labels.csv gives the photo; empty for none."""


@dataclass(frozen=True)
class StoredPhoto:
    """A photo of a dataset."""

    id: str
    labels: tuple[str, ...]
    bytes: int
    format: str
    width: int
    height: int


@dataclass(frozen=True)
class LabelCount:
    """The photos of a label."""

    label: str
    photos: int


@dataclass(frozen=True)
class Warning:
    """Something that a model would learn badly from."""

    code: WarningCode
    detail: str
    label: str | None = None
    photos: tuple[str, ...] = ()
    """Ids of the photos that it is about, the first of them."""


@dataclass(frozen=True)
class Dataset:
    """A dataset in figures."""

    name: str
    photos: int
    bytes: int
    several_labels: bool
    labels: Sequence[LabelCount]
    warnings: Sequence[Warning]
    modified: float
    """Seconds since 1970."""


@dataclass
class Content:
    """The files of a dataset, in memory.

    Attributes:
        has_table: whether it has a labels.csv, which says the labels of all its photos.
        other_rows: rows of labels.csv about files that Hubel didn't make: file, labels, group.
    """

    has_table: bool = False
    other_rows: list[tuple[str, tuple[str, ...], str]] = field(default_factory=list)
    modified: float = 0.0
    _entries: dict[str, list[Entry]] = field(default_factory=dict)
    _newest: list[str] | None = None
    _times: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """Yield all files."""
        for entries in self._entries.values():
            yield from entries

    def of(self, id: str) -> Sequence[Entry]:
        """Return the files of a photo; none if it isn't there."""
        return tuple(self._entries.get(id, ()))

    def put(self, entry: Entry) -> None:
        """Add a file, or replace the one of the same name."""
        kept = [other for other in self._entries.get(entry.id, ()) if other.file != entry.file]
        self._entries[entry.id] = [*kept, entry]
        self._newest = None

    def discard(self, entry: Entry) -> None:
        """Remove a file."""
        kept = [other for other in self._entries.get(entry.id, ()) if other.file != entry.file]
        if kept:
            self._entries[entry.id] = kept
        else:
            self._entries.pop(entry.id, None)
        self._newest = None

    @property
    def bytes(self) -> int:
        """The bytes of all files."""
        return sum(entry.bytes for entry in self)

    @property
    def has_several(self) -> bool:
        """Whether a photo may have several labels: one has, by labels.csv."""
        return any(len(entry.labels) > 1 for entry in self)

    @property
    def labels(self) -> Counter[str]:
        """The photos of each label."""
        counts: Counter[str] = Counter()
        for id in self._entries:
            counts.update(self.labels_of(id))
        return counts

    def labels_of(self, id: str) -> tuple[str, ...]:
        """Return the labels of a photo, those of all its files."""
        names = [label for entry in self._entries.get(id, ()) for label in entry.labels]
        return tuple(dict.fromkeys(names))

    def newest_first(self) -> list[str]:
        """Return the ids of all photos, the newest first; don't change the list."""
        if self._newest is None:
            self._times = {
                id: min(entry.time_ns for entry in entries) for id, entries in self._entries.items()
            }
            self._newest = sorted(self._times, key=self.position)
        return self._newest

    def position(self, id: str) -> tuple[int, str]:
        """Return what the photos of `newest_first` are sorted by."""
        return -self._times[id], id

    def needs_table(self) -> bool:
        """Return whether folders alone can't say the labels."""
        if self.has_table:
            return True
        names = {label for entry in self for label in entry.labels}
        return not all(len(entry.labels) == 1 for entry in self) or not all(
            is_folder(label) for label in names
        )

    def summary(self, name: str) -> Dataset:
        """Return the figures of the dataset."""
        several = self.has_several
        labels = [LabelCount(label, count) for label, count in sorted(self.labels.items())]
        return Dataset(
            name=name,
            photos=len(self),
            bytes=self.bytes,
            several_labels=several,
            labels=labels,
            warnings=list(self._warnings(labels, several=several)),
            modified=self.modified,
        )

    def _warnings(self, labels: Sequence[LabelCount], *, several: bool) -> Iterator[Warning]:
        if len(labels) == 1 and not several:
            yield Warning(
                "one_label",
                f"All photos have the label {labels[0].label}. Add photos of another one: a model "
                "learns to tell labels apart.",
            )
        for each in labels:
            if each.photos < FEW:
                yield Warning("too_few", _few(each), each.label)
        twice = [id for id in self.newest_first() if len(self._entries[id]) > 1]
        if twice and not several:
            yield Warning(
                "two_labels",
                f"{_photos(len(twice))} under two labels or more. Keep each under one.",
                photos=tuple(twice[:_LISTED]),
            )


def rows_of(content: Content) -> Iterable[tuple[str, tuple[str, ...], str]]:
    """Return the rows of labels.csv, sorted: file, labels, group."""
    own = [(entry.file, entry.labels, entry.group) for entry in content]
    return sorted([*own, *content.other_rows])


def _few(label: LabelCount) -> str:
    return f"{label.label} has {_photos(label.photos)}. Add some: {FEW} at least, better 30."


def _photos(count: int) -> str:
    return "1 photo" if count == 1 else f"{count} photos"
