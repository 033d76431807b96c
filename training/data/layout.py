"""List the files of a data folder, each with its class and its part of a given split.

    DATA/cat/1.jpg                     a folder per class; folders inside it belong to the class
    DATA/train/cat/1.jpg               a given split, in the usual spellings (app.dataset)
    DATA/labels.csv  DATA/1.jpg        labels by a table, or by the names of the files

A table may give photos several labels, or none: the data are then multi-label.

A given split is used unchanged. Only tables of labels are opened here. Names that differ in Unicode
normalisation alone are one class, and so are names that differ in case alone between the parts of a
split. Stray files are listed by name; training.data.examine reports them.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.bundle import Task
from app.dataset import label_table
from app.dataset.files import is_photo, list_below, visible
from app.dataset.label_table import Form, LabelSets
from app.dataset.split_names import (
    PARTS,
    Part,
    find_parts,
    folders_alike,
    suggested_parts,
)
from training.data.dataset import Dataset, File, class_indices, name_below, printable
from training.errors import DataUnusable, SplitUnclear

__all__ = [
    "PARTS",
    "Dataset",
    "File",
    "Part",
    "class_indices",
    "name_below",
    "printable",
    "scan_folder",
]


@dataclass
class _Scan:
    """What is found in DATA, so far."""

    data: Path
    files: list[File] = field(default_factory=list)
    tables: list[tuple[Path, LabelSets]] = field(default_factory=list)
    """The labels of each table, with its folder."""
    empty: list[str] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    without_label: int = 0
    """The number of `unlabelled` photos that a table lists."""
    missing: list[str] = field(default_factory=list)
    spelling: list[str] = field(default_factory=list)
    contradictory: list[str] = field(default_factory=list)

    def name(self, path: Path) -> str:
        return name_below(path, self.data)


def scan_folder(
    data: Path,
    labels_from: Form | None = None,
    split: Mapping[str, Part] | None = None,
    task: Task | None = None,
) -> Dataset:
    """List the files of DATA; hidden files and folders are skipped.

    Args:
        data: the folder.
        labels_from: where the labels come from; None: labels.csv if there is one, else folders.
        split: the part that each of these folders of DATA holds; empty: DATA has no split; None:
            by the names of the folders.
        task: whether a photo has exactly one label, or any number; None: multi_label if a table
            gives a photo several labels.

    Raises:
        DataUnusable: it is no folder, or its labels can't be read.
        SplitUnclear: folders may be classes or parts of a split.
        BadParameter: two folders hold the same part of a split, or a table can't be used.
    """
    if not data.is_dir():
        raise DataUnusable(f"{data} is not a folder. Name one that holds a folder per class.")
    roots = _roots(data, labels_from, split)
    scan = _Scan(data)
    form = labels_from or ("labels.csv" if label_table.has_labels_csv(data) else None)
    parts = {part for part, _ in roots if part}
    if form in ("labels.csv", "roboflow", "columns") and any(data.glob("*.csv")):
        _scan_table(scan, data, form, roots)  # one table for all parts
    else:
        for part, root in roots:
            own = labels_from or ("labels.csv" if label_table.has_labels_csv(root) else None)
            if own is None:
                _scan_classes(scan, root, part)
            else:
                _scan_table(scan, root, own, [(part, root)])
        if parts:
            scan.stray += _beside(data, [root for _, root in roots])
    if task is None:
        several = any(sets.several for _, sets in scan.tables)
        task = "multi_label" if several else "single_label"
    _settle_task(scan, task)
    files = _one_spelling(scan, task)
    return Dataset(
        name=data.resolve().name,
        files=tuple(sorted(files, key=lambda file: file.name)),
        given=tuple(part for part in PARTS if part in parts),
        empty=tuple(scan.empty),
        nested=tuple(scan.nested),
        stray=tuple(sorted(scan.stray)),
        unlabelled=tuple(scan.unlabelled),
        without_label=scan.without_label,
        missing=tuple(scan.missing),
        contradictory=tuple(scan.contradictory),
        spelling=tuple(scan.spelling),
        task=task,
    )


def no_classes(data: Path) -> DataUnusable:
    """Return the error for a folder without any labelled file: what it holds, and what to do."""
    photos = [path for path in list_below(data).files if is_photo(path)]
    if not photos:
        return DataUnusable(
            f"{data} has no class folders with files. Make one folder of photos for each class."
        )
    hint = (
        ", or add --labels-from filename: their names look like cat_12.jpg"
        if label_table.looks_numbered(photos)
        else ", or name the format of a table of labels with --labels-from"
    )
    return DataUnusable(
        f"{data} holds {len(photos)} photos, but none has a label. Make one folder of photos for "
        f"each class, add a labels.csv with the header file,labels{hint}."
    )


def _roots(
    data: Path, labels_from: Form | None, split: Mapping[str, Part] | None
) -> list[tuple[Part | None, Path]]:
    """Return the folders to read, each with its part."""
    if split is not None:
        _require_separate_folders(data, list(split))
        return [(part, data / name) for name, part in split.items()] or [(None, data)]
    if parts := find_parts(data):
        return [(part, root) for part, root in parts.items()]
    is_by_folder = labels_from is None and not label_table.has_labels_csv(data)
    if is_by_folder and (alike := folders_alike(data)):
        counts = {folder: len(list_below(folder).files) for folder in alike}
        suggested = suggested_parts(alike, counts)
        names = ", ".join(folder.name for folder in alike)
        option = ",".join(f"{part}={name}" for name, part in suggested.items())
        raise SplitUnclear(
            f"The folders {names} of {data} hold folders of the same names, so they may be classes "
            f"or the parts of a split. Add --split {option} for a split, or --split none for "
            "classes.",
            suggested,
        )
    return [(None, data)]


def _require_separate_folders(data: Path, names: Sequence[str]) -> None:
    """Reject names of --split that are no folders inside DATA, or whose photos would count twice.

    Raises:
        DataUnusable: there is such a name.
    """
    resolved: dict[str, Path] = {}
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataUnusable(
                f"{name} of --split lies outside {data}. Name folders inside it, by their paths "
                "within it."
            )
        if not (data / name).is_dir():
            raise DataUnusable(f"{data / name} of --split is not a folder. Name another.")
        folder = (data / name).resolve()
        for other, earlier in resolved.items():
            if folder.is_relative_to(earlier) or earlier.is_relative_to(folder):
                raise DataUnusable(
                    f"{other} and {name} of --split are the same folder, or one holds the other, "
                    "so photos would be in both parts. Name separate folders."
                )
        resolved[name] = folder


def _scan_classes(scan: _Scan, root: Path, part: Part | None) -> None:
    """List the class folders of `root`."""
    above = (scan.data, root)
    for entry in visible(root):
        if not entry.is_dir():
            scan.stray.append(scan.name(entry))
            continue
        if any(entry.samefile(folder) for folder in above):
            scan.stray.append(f"{scan.name(entry)} (it leads to a folder that is read already)")
            continue
        listing = list_below(entry, above)
        scan.files += [
            File(path, scan.name(path), printable(entry.name), part) for path in listing.files
        ]
        scan.nested += map(scan.name, listing.folders)
        scan.stray += [f"{scan.name(path)} ({reason})" for path, reason in listing.skipped]
        if not listing.files:
            scan.empty.append(scan.name(entry))


def _scan_table(
    scan: _Scan, folder: Path, form: Form, roots: Sequence[tuple[Part | None, Path]]
) -> None:
    """List the files of `folder` that a table, or their names, give a label."""
    listing = list_below(folder)
    labelled = label_table.label_sets(folder, listing.files, form)
    scan.tables.append((folder, labelled))
    for path, labels in labelled.labels.items():
        part = next((part for part, root in roots if path.is_relative_to(root)), None)
        names = tuple(sorted(map(printable, labels)))
        group = printable(labelled.groups.get(path, ""))
        scan.files.append(File(path, scan.name(path), "; ".join(names), part, names, group))
    _report_unlabelled(scan, folder, labelled)
    scan.stray += [f"{scan.name(path)} ({reason})" for path, reason in listing.skipped]


def _settle_task(scan: _Scan, task: Task) -> None:
    """Bring the files that were listed into the form of the task.

    With single_label, a file whose rows contradict each other is left out: one of them is wrong.

    Raises:
        BadParameter: a row gives a file several labels, and the task is single_label.
    """
    if task == "multi_label":
        for _, sets in scan.tables:
            _report_contradictory(scan, sets, sets.contradictory)
        scan.files = [file if file.labels else file.with_labels(_own(file)) for file in scan.files]
        return
    left_out: set[Path] = set()
    for folder, sets in scan.tables:
        contradictory = [path for path in sets.contradictory if len(sets.labels[path]) > 1]
        _report_contradictory(scan, sets, contradictory)
        left_out.update(contradictory)
        sets.without(left_out).require_single(folder)
        without = [path for path, labels in sets.labels.items() if not labels]
        photos = [scan.name(path) for path in without if is_photo(path)]
        scan.unlabelled += photos
        scan.without_label += len(photos)
        scan.stray += [scan.name(path) for path in without if not is_photo(path)]
    scan.files = [
        replace(file, labels=()) for file in scan.files if file.label and file.path not in left_out
    ]


def _report_contradictory(scan: _Scan, sets: LabelSets, paths: Sequence[Path]) -> None:
    for path in paths:
        names = "; ".join(sorted(map(printable, sets.labels[path])))
        scan.contradictory.append(f"{scan.name(path)} ({names})")


def _own(file: File) -> set[str]:
    return {file.label} if file.label else set()


def _report_unlabelled(scan: _Scan, folder: Path, labelled: LabelSets) -> None:
    for path in labelled.unlisted:
        (scan.unlabelled if is_photo(path) else scan.stray).append(scan.name(path))
    prefix = "" if folder == scan.data else f"{scan.name(folder)}/"
    scan.missing += [prefix + printable(name) for name in labelled.missing]
    scan.spelling += [prefix + printable(name) for name in labelled.spelled]


def _beside(data: Path, roots: Sequence[Path]) -> list[str]:
    """Return what stands beside the folders of the parts."""
    names = []
    for folder in {root.parent for root in roots}:
        names += [
            name_below(entry, data)
            for entry in visible(folder)
            if not any(root == entry or entry in root.parents for root in roots)
        ]
    return names


def _one_spelling(scan: _Scan, task: Task) -> list[File]:
    """Return the files, with one spelling of each class."""
    if task == "multi_label":  # labels come from tables, whose names are in NFC already
        return [file.with_labels({_nfc(label) for label in file.labels}) for file in scan.files]
    spellings: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for file in scan.files:
        spellings[_nfc(file.label)][file.label] = None
    scan.spelling += [f"{label} (in Unicode)" for label, raw in spellings.items() if len(raw) > 1]
    files = [replace(file, label=_nfc(file.label)) for file in scan.files]
    by_case: defaultdict[str, defaultdict[Part | None, set[str]]] = defaultdict(
        lambda: defaultdict(set)
    )
    for file in files:
        by_case[file.label.casefold()][file.part].add(file.label)
    renamed = {}
    for parts in by_case.values():
        names = set.union(*parts.values())
        if len(names) > 1 and all(len(of_part) == 1 for of_part in parts.values()):
            first = next(of_part for part in PARTS if (of_part := parts.get(part)))
            (kept,) = first
            scan.spelling.append(" = ".join([kept, *sorted(names - first)]))
            renamed.update(dict.fromkeys(names, kept))
    return [replace(file, label=renamed.get(file.label, file.label)) for file in files]


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
