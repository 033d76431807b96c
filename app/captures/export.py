"""Writes labelled captures as a folder that `hubel train` reads.

every photo has one label -> a folder for each label
else                      -> photos/, and labels.csv: file,labels (separated by `;`, or empty)

Written beside the output, then renamed, so that an interrupted export leaves nothing there.
"""

import csv
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.captures import database
from app.captures.capture import Capture, Filter
from app.captures.rows import Position, page_of
from app.captures.store import Store
from app.dataset.label_folder import PHOTOS, is_folder
from app.errors import BadParameter

_PAGE = 500
_LABELS_CSV = "labels.csv"


@dataclass
class Exported:
    """What an export wrote, and what it left out."""

    photos: Counter[str] = field(default_factory=Counter)
    """By label; a photo of several labels counts for each, one of none under ''."""
    unlabelled: int = 0
    wrong: int = 0
    """Photos whose prediction was called wrong, without a label."""
    missing: int = 0
    """Photos whose file is gone."""


def export(store: Store, output: Path, model: str | None) -> Exported:
    """Write the labelled captures of a model to a new folder.

    Args:
        store: the captures.
        output: the folder; it must not exist, or be empty.
        model: whose captures; None: of the only one that has labelled ones.

    Raises:
        BadParameter: `output` holds files, nothing is labelled, or several models have captures.
        OSError: the folder can't be written.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise BadParameter(f"{output} exists and isn't an empty folder. Name a new one.")
    selected, exported = _selected(store, model)
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(".part", f".{output.name}.", output.parent))
    try:
        _write(store, selected, beside, exported)
        beside.chmod(0o777 & ~_umask())
        with suppress(FileNotFoundError):
            output.rmdir()
        beside.rename(output)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return exported


def _selected(store: Store, model: str | None) -> tuple[list[Capture], Exported]:
    """Return the captures that have labels, and the counts of those that have none."""
    exported = Exported()
    selected: list[Capture] = []
    position: Position | None = None
    with database.reading(store.folder) as connection:
        while True:
            page, position = page_of(connection, Filter(model=model), "newest", position, _PAGE)
            for capture in page:
                if capture.labels is not None:
                    selected.append(capture)
                elif capture.wrong:
                    exported.wrong += 1
                else:
                    exported.unlabelled += 1
            if position is None:
                break
    models = sorted({capture.model for capture in selected})
    if len(models) > 1:
        raise BadParameter(f"The labelled photos are of {', '.join(models)}. Name one: --model.")
    if not selected:
        raise BadParameter(
            f"No photo {f'of model {model!r} ' if model else ''}has a label yet. Label some first."
        )
    return selected, exported


def _write(store: Store, captures: Sequence[Capture], folder: Path, exported: Exported) -> None:
    as_folders = all(_is_one_folder(capture.labels or ()) for capture in captures)
    rows = []
    for capture in captures:
        labels = capture.labels or ()
        part = folder / (labels[0] if as_folders else PHOTOS)
        part.mkdir(exist_ok=True)
        file = part / f"{capture.sha256[:16]}.{capture.format}"
        try:
            shutil.copyfile(store.files.path(capture.sha256, capture.format), file)
        except FileNotFoundError:
            exported.missing += 1
            continue
        exported.photos.update(labels or ("",))
        rows.append((f"{PHOTOS}/{file.name}", ";".join(labels)))
    if not as_folders:
        with (folder / _LABELS_CSV).open("w", encoding="utf-8", newline="") as table:
            writer = csv.writer(table)
            writer.writerow(("file", "labels"))
            writer.writerows(sorted(rows))


def _is_one_folder(labels: Sequence[str]) -> bool:
    """Return whether these labels are one, whose name a folder can have."""
    if len(labels) != 1:
        return False
    return is_folder(labels[0])


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
