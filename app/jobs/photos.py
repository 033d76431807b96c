"""The photos of a job, put together into one training folder by hard links.

    the dataset's folder, labelled captures -> each photo once, by its sha256 and labels
        -> test or train, by `choose_test`
        -> PHOTOS/train/photos/…  PHOTOS/train/labels.csv
           PHOTOS/test/photos/…   PHOTOS/test/labels.csv

The files aren't copied, and not changed either: training only reads them. The snapshot stays as it
is while photos are added to the dataset or deleted from it.
"""

import csv
import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.captures import database
from app.captures.capture import Filter
from app.captures.photo_files import PhotoFiles
from app.captures.rows import Position, page_of
from app.captures.store import FOLDER as CAPTURES
from app.dataset.files import list_below, visible
from app.dataset.label_table import LABELS_CSV, has_labels_csv, label_sets
from app.errors import BadParameter
from app.jobs.split import choose_test

DATASETS = "datasets"
"""The folder of the datasets in HUBEL_DATA_DIR."""
NAME_DIGITS = 32
"""Digits of its sha256 that a photo of a dataset is named by."""
_NAMED = re.compile(rf"[0-9a-f]{{{NAME_DIGITS}}}")
_UNLABELLED = "photos"
"""The folder of a dataset for photos that only labels.csv gives labels."""
_PAGE = 500
_MIN_PHOTOS = 5
"""As `hubel train` has it."""


@dataclass(frozen=True)
class LabelledPhoto:
    """A file and its labels."""

    path: Path
    digits: str
    """The first digits of its sha256."""
    labels: tuple[str, ...]
    group: str | None = None
    """The group of photos that it belongs to, such as a burst; they stay in one part."""


def photos_of_dataset(folder: Path) -> Iterator[LabelledPhoto]:
    """Yield the photos of a dataset, with the labels that labels.csv or their folders say."""
    if has_labels_csv(folder):
        listed = label_sets(folder, list_below(folder).files, "labels.csv")
        for path, labels in listed.labels.items():
            group = listed.groups.get(path)
            yield LabelledPhoto(path, _digits_of(path), tuple(sorted(labels)), group)
        return
    for entry in visible(folder):
        if entry.is_dir() and entry.name != _UNLABELLED:
            for path in list_below(entry).files:
                yield LabelledPhoto(path, _digits_of(path), (entry.name,))


def photos_of_captures(data_dir: Path, model: str) -> Iterator[LabelledPhoto]:
    """Yield the captures of a model that people gave labels, or said to have none."""
    folder = data_dir / CAPTURES
    files = PhotoFiles(folder)
    position: Position | None = None
    with database.reading(folder) as connection:
        while True:
            wanted = Filter(model=model, labelled=True)
            page, position = page_of(connection, wanted, "newest", position, _PAGE)
            for capture in page:
                path = files.path(capture.sha256, capture.format)
                labels = tuple(sorted(capture.labels or ()))
                yield LabelledPhoto(path, capture.sha256[:NAME_DIGITS], labels)
            if position is None:
                break


def dataset_folder(data_dir: Path, name: str) -> Path:
    """Return the folder of a dataset."""
    return data_dir / DATASETS / name


def collect(
    sources: Iterable[LabelledPhoto],
    folder: Path,
    recorded: Mapping[str, str],
    min_photos: int | None,
) -> Counter[str]:
    """Link the photos into `folder`, split into train and test; return their number by label.

    Args:
        sources: the photos; those of the same content and labels are taken once.
        folder: the training folder, which must not exist.
        recorded: the part of photos that the serving version knows, by digits of their sha256.
        min_photos: photos that each label must keep outside of the test split; None: the default.

    Raises:
        BadParameter: there are no photos.
        OSError: the folder can't be written.
    """
    photos = list({(photo.digits, photo.labels): photo for photo in sources}.values())
    if not any(len(photo.labels) > 1 for photo in photos):  # exactly one label, or of no use
        photos = [photo for photo in photos if photo.labels]
    if not photos:
        raise BadParameter("There are no labelled photos. Add some first.")
    labels = {photo.digits: photo.labels for photo in photos}
    groups = {photo.digits: photo.group for photo in photos if photo.group}
    test = choose_test(labels, recorded, min_photos or _MIN_PHOTOS, groups)
    beside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    for part, chosen in _parts(photos, test):
        _write(chosen, beside / part if part else beside)
    os.replace(beside, folder)
    return Counter(label for photo in photos for label in photo.labels)


def _parts(
    photos: Sequence[LabelledPhoto], test: Collection[str]
) -> Iterator[tuple[str, list[LabelledPhoto]]]:
    """Yield the photos by part; all of them without a part if there are too few for a test."""
    if not test:
        yield "", list(photos)
        return
    yield "train", [photo for photo in photos if photo.digits not in test]
    yield "test", [photo for photo in photos if photo.digits in test]


def _write(photos: Sequence[LabelledPhoto], folder: Path) -> None:
    files = folder / "photos"
    files.mkdir(parents=True)
    rows = []
    seen: Counter[str] = Counter()
    for photo in photos:
        copy = f"-{seen[photo.digits]}" if seen[photo.digits] else ""  # the same, other labels
        seen[photo.digits] += 1
        name = f"{photo.digits}{copy}{photo.path.suffix}"
        if _link(photo.path, files / name):
            rows.append((f"photos/{name}", ";".join(photo.labels), photo.group or ""))
    columns = 2 + any(group for _, _, group in rows)
    with (folder / LABELS_CSV).open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(("file", "labels", "group")[:columns])
        writer.writerows(row[:columns] for row in sorted(rows))


def _link(source: Path, target: Path) -> bool:
    """Link a file, or copy it where that is impossible; return False if it is gone meanwhile."""
    try:
        os.link(source.resolve(), target)
    except FileNotFoundError:
        return False
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
    return True


def _digits_of(path: Path) -> str:
    """Return digits of a photo's sha256: from its name, where it is named so."""
    if _NAMED.fullmatch(path.stem):
        return path.stem
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:NAME_DIGITS]
