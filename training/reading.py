"""Read the photos of a training run, from the folder to the input of the recipe.

DATA -> files, with the fixes of their labels           data.layout, data.fixes
-> photos and their pixels                         data.photos
-> duplicates, classes with too few photos         data.duplicates
-> findings, reported at once                      data.findings
-> train, val, test                                data.examples, data.split
-> cover, stretch or contain, for --fit auto       recipes.fit_selection
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app import bundle as bundles
from app.bundle import Fit, InputSpec
from app.bundle.photo_record import DIGITS, RecordedPart, photo_record
from training.arguments import Arguments
from training.contracts import Recipe, ReportProgress, TrainingData
from training.data import duplicates, examine, fixes, layout
from training.data.duplicates import Duplicates
from training.data.examples import Examples, select_and_split, small_classes
from training.data.findings import Findings
from training.data.layout import Dataset
from training.data.photos import Photo, read_again, read_photos
from training.errors import DataUnusable
from training.packaging.promise import require_possible
from training.recipes.backbone import find_backbone
from training.recipes.fit_selection import SelectedFit, select_fit, with_fit
from training.recipes.head import HeadRecipe


@dataclass(frozen=True, eq=False)
class ReadData:
    """The photos of a run, with what is unusual in them."""

    findings: Findings
    training_data: TrainingData
    fit: SelectedFit | None
    """The selection of --fit auto."""


def read(arguments: Arguments, temporary: Path, report_progress: ReportProgress) -> ReadData:
    """Read all photos, report the findings, split the photos, and select how they are read.

    Raises:
        DataUnusable: the photos or the arguments can't be used.
    """
    recipe = arguments.recipe
    earlier = None if arguments.split_of is None else _parts_in(arguments.split_of)
    data = _list_files(arguments, report_progress)
    if arguments.task is None and data.task == "multi_label":
        report_progress(_why_multi_label(data))
    specs = _specs(recipe, None if arguments.fit == "auto" else arguments.fit)
    read_files, unusable, pixels = read_photos(data.files, specs, temporary)
    photos: Sequence[Photo] = read_files
    if not photos:
        raise DataUnusable(
            f"None of the {len(data.files)} files of {arguments.data} is a photo; the first, "
            f"{unusable[0].file.name}: {unusable[0].reason} Name a folder of photos."
        )
    duplicates_found = duplicates.find(photos, pixels[0])
    if arguments.skip_small:
        data, photos, duplicates_found = _without_small(
            data, photos, duplicates_found, pixels[0], arguments.min_photos
        )
    data_findings = examine.collect(data, photos, unusable, duplicates_found)
    for line in data_findings.lines():
        report_progress(line)
    examples = select_and_split(
        data, photos, duplicates_found, arguments.seed, arguments.min_photos, earlier
    )
    if earlier is not None:
        report_progress(_kept_parts(arguments, examples, earlier))
    sizes = ", ".join(f"{part} {count}" for part, count in split_sizes(examples).items())
    report_progress(f"split: {sizes}{_as_given(data, examples)}")
    selected = None
    if arguments.fit == "auto":
        backbone = recipe.backbone if isinstance(recipe, HeadRecipe) else find_backbone("lite0")
        selected = select_fit(examples, backbone, temporary, arguments.seed, report_progress)
        if selected.fit != specs[0].fit:
            specs = _specs(recipe, selected.fit)
            read_again(examples.photos, specs, pixels)
    _require_possible_promise(arguments, examples)
    training_data = TrainingData(examples, pixels[0], pixels[-1], specs[0], arguments.seed)
    return ReadData(data_findings, training_data, selected)


def _parts_in(folder: Path) -> Mapping[str, RecordedPart]:
    """Return the parts of the photos of an earlier version, for --split-of.

    Raises:
        DataUnusable: its bundle doesn't record them.
        BundleInvalid, BundleMismatch: it can't be read.
    """
    record = photo_record(bundles.load(folder))
    if record is None:
        raise DataUnusable(
            f"{folder} doesn't record which photos it was trained on, so its split can't be kept. "
            "Leave --split-of out."
        )
    return record


def _kept_parts(
    arguments: Arguments, examples: Examples, earlier: Mapping[str, RecordedPart]
) -> str:
    """Return a line about the photos that are in the same part as in the earlier version.

    Raises:
        DataUnusable: there are none.
    """
    kept = sum(
        earlier.get(photo.sha256[:DIGITS]) == part
        for photo, part in zip(examples.photos, examples.parts.tolist(), strict=True)
    )
    if not kept:
        raise DataUnusable(
            f"None of the {len(examples.photos)} photos of {arguments.data} has the part of the "
            f"split that {arguments.split_of} recorded, so its split can't be kept. Name the "
            "bundle of a version that was trained on some of them, or leave --split-of out."
        )
    return (
        f"{kept} of {len(examples.photos)} photos are in the part of the split that they had in "
        f"{arguments.split_of}"
    )


def split_sizes(examples: Examples) -> dict[str, int]:
    """Return the number of photos in each part of the split."""
    return {part: len(examples.indices_of(part)) for part in layout.PARTS}


def _why_multi_label(data: Dataset) -> str:
    """Return why the labels of the data make the model multi-label, and how it gets one label."""
    several = [file for file in data.files if len(file.labels) > 1]
    return (
        f"multi-label: several labels for {len(several)} of {len(data.files)} files, first "
        f"{several[0].name} ({several[0].label}). If each photo has one, correct the table, or add "
        "--task single_label."
    )


def _as_given(data: Dataset, examples: Examples) -> str:
    """Return in brackets which parts of the split are those of the data, if any."""
    with_photos = {photo.file.part for photo in examples.photos}
    parts = [part for part in data.given if part in with_photos]
    if not parts:
        return ""
    return " (as given)" if len(parts) == len(data.given) else f" ({', '.join(parts)} as given)"


def _list_files(arguments: Arguments, report_progress: ReportProgress) -> Dataset:
    """Return the files of the data with their labels, corrected by --fixes."""
    data = layout.scan_folder(
        arguments.data, arguments.labels_from, arguments.split, arguments.task
    )
    if not data.files:
        raise layout.no_classes(arguments.data)
    if arguments.fixes is None:
        return data
    if data.task == "multi_label":
        raise DataUnusable(
            f"--fixes is for photos with one label, and those of {data.name} may have several. "
            "Correct their table of labels."
        )
    fixed = fixes.apply(data, arguments.fixes)
    report_progress(fixed.line)
    left = fixed.dataset.labels
    if not left:
        raise DataUnusable(
            f"The fixes of {arguments.fixes} leave out all photos of {data.name}. Correct the "
            "table."
        )
    if len(left) == 1 < len(data.labels):
        raise DataUnusable(
            f"The fixes of {arguments.fixes} leave no class of {data.name} but {left[0]!r}, and a "
            "classifier needs two classes at least. Correct the table, or add photos."
        )
    return fixed.dataset


def _without_small(
    data: Dataset,
    photos: Sequence[Photo],
    duplicates_found: Duplicates,
    pixels: NDArray[np.uint8],
    min_photos: int,
) -> tuple[Dataset, Sequence[Photo], Duplicates]:
    """Leave out the classes with too few photos, for --skip-small."""
    small = small_classes(data, photos, duplicates_found, min_photos)
    if not small:
        return data, photos, duplicates_found
    data = data.without(small)
    files = {file.name: file for file in data.files}
    photos = [
        replace(photo, file=files[photo.file.name]) for photo in photos if photo.file.name in files
    ]
    if not photos:
        raise DataUnusable(
            f"Every class has fewer than {min_photos} photos. Add photos, or lower --min-photos."
        )
    if data.task == "single_label" and len(data.labels) == 1:
        raise DataUnusable(
            f"Every class but {data.labels[0]!r} has fewer than {min_photos} photos, and a "
            "classifier needs two classes at least. Add photos, or lower --min-photos."
        )
    return data, photos, duplicates.find(photos, pixels)


def _specs(recipe: Recipe, fit: Fit | None) -> list[InputSpec]:
    """Return the input of the recipe, and that of its augmentation where it differs.

    Raises:
        DataUnusable: the recipe's input can't have this fit.
    """
    specs = dict.fromkeys([recipe.input, recipe.augmentation_input or recipe.input])
    return [spec if fit is None else with_fit(spec, fit) for spec in specs]


def _require_possible_promise(arguments: Arguments, examples: Examples) -> None:
    """Reject a promise before training, where even predictions without a mistake can't keep it."""
    if arguments.promise is not None:
        different = np.unique(examples.groups[examples.indices_of("train", "val")])
        require_possible(arguments.promise, len(different))
