"""The photos of a folder, each with the index of its true label, or for a multi-label model of all.

The folder has one subfolder per class, named by the label or its id, or a labels.csv, as `hubel
train` reads it. If it is split into parts, test is measured, else val.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.bundle import Label, Task
from app.dataset import label_table
from app.dataset.files import is_photo, list_below, visible
from app.dataset.label_table import Form
from app.dataset.split_names import named_parts
from app.errors import BadParameter


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo and its true labels."""

    path: Path
    indices: frozenset[int]
    """The indices of its labels: one, or for a multi-label model any number."""
    group: str = ""
    """The group that a table gives it; empty: none."""

    @property
    def index(self) -> int:
        """The index of its only label."""
        (index,) = self.indices
        return index


@dataclass(frozen=True)
class LabelledFolder:
    """The photos of a folder, and what else lies in it."""

    photos: list[LabelledPhoto]
    skipped: list[Path]
    """Files that are no photos or have no label, and links that lead back."""


def labelled_photos(
    data: Path,
    labels: tuple[Label, ...],
    labels_from: Form | None = None,
    task: Task = "single_label",
) -> list[LabelledPhoto]:
    """Return the photos below `data`; see `read_folder`."""
    return read_folder(data, labels, labels_from, task).photos


def read_folder(
    data: Path,
    labels: tuple[Label, ...],
    labels_from: Form | None = None,
    task: Task = "single_label",
) -> LabelledFolder:
    """Return the photos below `data`, each with the indices of its labels.

    Args:
        data: the folder.
        labels: the labels of the model.
        labels_from: where the labels come from; None: labels.csv if there is one, else folders.
        task: the task of the model. For multi_label a photo may have any number of labels.

    Raises:
        BadParameter: a photo has several labels and the model gives one, a name is no label, a
            table can't be used, or there are no photos.
    """
    index_of = _indices(labels)
    root = _measured(data, index_of)
    form = labels_from or ("labels.csv" if label_table.has_labels_csv(root) else None)
    groups: Mapping[Path, str] = {}
    if form is None:
        labels_of, skipped = _by_folder(root)
    else:
        labels_of, skipped, groups = _by_table(root, form, task)
    names = {name for some in labels_of.values() for name in some}
    if form is None:
        names |= set(_class_folders(root))
    unknown = sorted(name for name in names if _key(name) not in index_of)
    if unknown:
        what = "folders" if form is None else "labels"
        raise BadParameter(
            f"{len(unknown)} {what} of {root} aren't labels of this model, the first is "
            f"{unknown[0]!r}. Name each by a label or its id."
        )
    photos = [
        LabelledPhoto(path, frozenset(index_of[_key(name)] for name in some), groups.get(path, ""))
        for path, some in labels_of.items()
        if is_photo(path)
    ]
    used = {photo.path for photo in photos}
    skipped += [path for path in labels_of if path not in used]
    if not photos:
        raise _no_photos(root, skipped)
    return LabelledFolder(photos, skipped)


def _measured(data: Path, index_of: Mapping[str, int]) -> Path:
    """Return the part of a split to measure, or `data` itself where it has none."""
    named = {
        part: folder
        for part, folder in named_parts(data).items()
        if _key(folder.name) not in index_of
    }
    for part in ("test", "val"):
        if part in named:
            return named[part]
    if named and all(_key(entry.name) not in index_of for entry in visible(data)):
        raise BadParameter(
            f"{data} has photos to train on alone. Name {named['train']} to measure on them."
        )
    return data


def _by_folder(root: Path) -> tuple[dict[Path, frozenset[str]], list[Path]]:
    """Return the files of the class folders with the folder's name, and what is skipped."""
    labels_of, skipped = dict[Path, frozenset[str]](), list[Path]()
    for entry in visible(root):
        if not entry.is_dir() or entry.samefile(root):
            skipped.append(entry)
            continue
        listing = list_below(entry, (root,))
        labels_of |= dict.fromkeys(listing.files, frozenset({entry.name}))
        skipped += [path for path, _ in listing.skipped]
    return labels_of, skipped


def _class_folders(root: Path) -> list[str]:
    return [entry.name for entry in visible(root) if entry.is_dir() and not entry.samefile(root)]


def _by_table(
    root: Path, form: Form, task: Task
) -> tuple[dict[Path, frozenset[str]], list[Path], dict[Path, str]]:
    """Return the labels of the files in a table, what is skipped, and the files' groups."""
    listing = list_below(root)
    labelled = label_table.label_sets(root, listing.files, form)
    if labelled.missing:
        raise BadParameter(
            f"{len(labelled.missing)} photos of the table in {root} aren't there, the first is "
            f"{labelled.missing[0]}. Add them, or remove their lines."
        )
    skipped = labelled.unlisted + [path for path, _ in listing.skipped]
    if task == "multi_label":
        return labelled.labels, skipped, labelled.groups
    labelled.require_single(root)
    unlabelled = [path for path, names in labelled.labels.items() if not names]
    labels_of = {path: names for path, names in labelled.labels.items() if names}
    return labels_of, unlabelled + skipped, labelled.groups


def _no_photos(root: Path, skipped: Iterable[Path]) -> BadParameter:
    photos = [path for path in list_below(root).files if is_photo(path)]
    if photos:
        return BadParameter(
            f"{root} holds {len(photos)} photos, but none in a folder that names its label. Make "
            "one folder for each label, or add a labels.csv or --labels-from."
        )
    return BadParameter(f"{root} has no photos in folders. Make one folder for each label.")


def _indices(labels: tuple[Label, ...]) -> dict[str, int]:
    """Return the class index by normalised label name or id; an id takes precedence over a name."""
    by_name = {_key(label.name): index for index, label in enumerate(labels)}
    by_id = {_key(label.id): index for index, label in enumerate(labels) if label.id}
    return by_name | by_id


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).replace("_", " ").casefold()
