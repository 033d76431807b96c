"""Run `hubel train`, from a folder of photos to a bundle.

    DATA -> files -> photos and their pixels             data.layout, data.photos
         -> duplicates -> findings, reported at once     data.duplicates, data.findings
         -> train, val, test                             data.examples, data.split
         -> cover, stretch or contain, for --fit auto    recipes.fit_selection
         -> the recipe: a trained graph                  recipes
         -> parity, int8, figures, golden photos         packaging.recipe_result
            or, where photos may have several labels,    packaging.label_result
         -> report, model card, bundle.json              packaging.build

Pixels lie in a folder beside the output while training runs, and so does the unfinished bundle.
Ctrl-C removes both. It keeps the checkpoint `.NAME.checkpoint` beside the output, which finetune
and scratch write after each epoch. A killed run also leaves its hidden folders; the next run
removes them.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from app.bundle import Bundle, Fit, InputSpec, Label, Manifest, Task
from app.dataset.label_table import Form
from app.dataset.split_names import Part
from training.contracts import LabelRecipe, Recipe, ReportProgress, TrainingData, TrainingResult
from training.data import duplicates, findings, fixes, layout
from training.data.examples import Examples, select_and_split, small_classes
from training.data.findings import Findings
from training.data.photos import fingerprint, read_again, read_photos
from training.data.split import MIN_PHOTOS
from training.errors import DataUnusable
from training.packaging import label_result, model_card, recipe_result, suspects, versions
from training.packaging.build import ManifestFields, TrainingOrigin, build_bundle
from training.packaging.promise import Promise, require_possible
from training.packaging.staging import folder_beside, report_kept, require_free
from training.recipes.backbone import find_backbone
from training.recipes.fit_selection import SelectedFit, select_fit, with_fit
from training.recipes.head import HeadRecipe
from training.report import Content, LabelContent


@dataclass(frozen=True)
class Arguments:
    """The arguments of the command."""

    data: Path
    output: Path
    recipe: Recipe
    name: str
    version: int
    seed: int
    force: bool = False
    """Whether foreign files in the output are kept beside the bundle, or end the run."""
    labels_from: Form | None = None
    """Where the labels come from; None: labels.csv if there is one, else the folders."""
    split: Mapping[str, Part] | None = None
    """The part that each folder of the data holds; empty: no split; None: by their names."""
    min_photos: int = MIN_PHOTOS
    """Different photos that each class must have."""
    fit: Fit | Literal["auto"] | None = None
    """How photos that aren't square are read; auto: selected by cross-validation; None: as the
    recipe's input says."""
    skip_small: bool = False
    """Whether classes with fewer photos are left out, or end the run."""
    fixes: Path | None = None
    """A table of corrected labels; None: the labels are used as they are."""
    promise: Promise | None = None
    """The precision of accepted predictions that is promised; None: nothing is."""
    task: Task | None = None
    """Whether a photo has exactly one label or any number; None: as its table says."""

    def metadata(self) -> dict[str, Any]:
        """Return the arguments for bundle.json; a folder is recorded by its last name only."""
        return {
            "data": self.data.resolve().name,
            "recipe": self.recipe.name,
            "fit": self.fit or self.recipe.input.fit,
            "seed": self.seed,
            **({} if self.fixes is None else {"fixes": self.fixes.name}),
            **self._promise(),
            **self.recipe.metadata,
        }

    def _promise(self) -> dict[str, Any]:
        if self.promise is None:
            return {}
        return {
            "accept_precision": self.promise.precision,
            "accept_per_class": self.promise.per_class,
        }

    @property
    def checkpoint(self) -> Path:
        """The folder from which an interrupted run can be resumed."""
        return self.output.with_name(f".{self.output.name}.checkpoint")


@dataclass(frozen=True)
class Result:
    """The result of the command."""

    bundle: Bundle
    findings: Findings


def train(arguments: Arguments, report_progress: ReportProgress) -> Result:
    """Train a model and move its complete bundle to the output.

    Raises:
        DataUnusable: the photos or the arguments can't be used.
        GateMissed: the graph's probabilities differ from the recipe's, or the promise can't be
            kept.
    """
    began = time.monotonic()
    kept = require_free(arguments.output, arguments.data, force=arguments.force)
    versions.require_unused(arguments.output, arguments.name, arguments.version)
    report_kept(kept, report_progress)
    with (
        folder_beside(arguments.output) as temporary,
        folder_beside(arguments.output) as folder,
    ):
        data_findings, training_data, fit = _read_data(arguments, temporary, report_progress)
        _require_possible_promise(arguments, training_data.examples)
        work = _Work(
            arguments, training_data, data_findings, fit, folder, temporary, report_progress
        )
        has_several = training_data.examples.label_matrix is not None
        packaged = (_train_labels if has_several else _train_classes)(work, began)
        _list_findings(data_findings, folder)
        bundle = build_bundle(
            packaged.fields,
            folder,
            arguments.output,
            report_content=packaged.report_content,
            model_card=packaged.model_card,
            report_progress=report_progress,
        )
    if arguments.recipe.can_resume(training_data, arguments.checkpoint):
        shutil.rmtree(arguments.checkpoint, ignore_errors=True)
    report_progress(versions.summary(bundle))
    return Result(bundle, data_findings)


@dataclass(frozen=True, eq=False)
class _Work:
    """The inputs of training, and the folders that it works in."""

    arguments: Arguments
    training_data: TrainingData
    findings: Findings
    fit: SelectedFit | None
    """The selection of --fit auto."""
    folder: Path
    """The folder that becomes the bundle; it receives the graphs and the golden photos."""
    temporary: Path
    report_progress: ReportProgress


@dataclass(frozen=True, eq=False)
class _Packaged:
    """The parts of the bundle beside the files in its folder."""

    fields: ManifestFields
    report_content: Callable[[Manifest], Content | LabelContent]
    model_card: Callable[[Manifest], str]


def _train_classes(work: _Work, began: float) -> _Packaged:
    """Train a single-label model and export it."""
    training_data, findings = work.training_data, work.findings
    trained = _train(work.arguments, training_data, work.temporary, work.report_progress)
    exported = recipe_result.export(
        training_data,
        trained,
        work.arguments.promise,
        work.folder,
        work.temporary,
        work.report_progress,
    )
    suspects.write(exported.suspects.photos, work.folder)
    work.report_progress(suspects.line(exported.suspects))
    fields = ManifestFields(
        name=work.arguments.name,
        version=work.arguments.version,
        labels=tuple(Label(name=label) for label in training_data.examples.labels),
        input=training_data.input,
        golden=exported.golden,
        metrics=exported.metrics,
        calibration=exported.calibration,
        unknown=trained.unknown,
        decision=exported.decision,
        baseline=exported.baseline,
        origin=_origin(work, trained.metadata, began),
    )
    return _Packaged(
        fields,
        partial(recipe_result.report_content, training_data, trained, exported, findings),
        partial(model_card.trained, trained.card, exported.int8, findings),
    )


def _train_labels(work: _Work, began: float) -> _Packaged:
    """Train a multi-label model and export it."""
    training_data, findings, recipe = work.training_data, work.findings, work.arguments.recipe
    assert isinstance(recipe, LabelRecipe)
    promise = work.arguments.promise
    trained = recipe.train_labels(
        training_data,
        work.temporary,
        None if promise is None else promise.precision,
        work.report_progress,
    )
    exported = label_result.export(
        training_data, trained, work.folder, work.temporary, work.report_progress
    )
    fields = ManifestFields(
        name=work.arguments.name,
        version=work.arguments.version,
        labels=tuple(Label(name=label) for label in training_data.examples.labels),
        input=training_data.input,
        golden=exported.golden,
        metrics=exported.metrics,
        task="multi_label",
        thresholds=exported.thresholds,
        undecided=exported.undecided,
        calibration=exported.calibration,
        unknown=trained.unknown,
        baseline=exported.baseline,
        origin=_origin(work, trained.metadata, began),
    )
    return _Packaged(
        fields,
        partial(label_result.report_content, training_data, trained, exported, findings),
        partial(model_card.trained_labels, trained.card, exported.int8, findings),
    )


def _read_data(
    arguments: Arguments, temporary: Path, report_progress: ReportProgress
) -> tuple[Findings, TrainingData, SelectedFit | None]:
    """Read all photos, report the findings, split the photos, and select how they are read."""
    data = layout.scan_folder(
        arguments.data, arguments.labels_from, arguments.split, arguments.task
    )
    recipe = arguments.recipe
    _require_task(recipe, data)
    if not data.files:
        raise layout.no_classes(arguments.data)
    if arguments.fixes is not None:
        if data.task == "multi_label":
            raise DataUnusable(
                f"--fixes is for photos with one label, and those of {data.name} may have several. "
                "Correct their table of labels."
            )
        fixed = fixes.apply(data, arguments.fixes)
        data = fixed.dataset
        report_progress(fixed.line)
    specs = _specs(recipe, None if arguments.fit == "auto" else arguments.fit)
    photos, unusable, pixels = read_photos(data.files, specs, temporary)
    if not photos:
        raise DataUnusable(
            f"None of the {len(data.files)} files of {arguments.data} is a photo; the first, "
            f"{unusable[0].file.name}: {unusable[0].reason} Name a folder of photos."
        )
    duplicates_found = duplicates.find(photos, pixels[0])
    if arguments.skip_small and (
        small := small_classes(data, photos, duplicates_found, arguments.min_photos)
    ):
        data = data.without(small)
        kept = {file.name: file for file in data.files}
        photos = [
            replace(photo, file=kept[photo.file.name])
            for photo in photos
            if photo.file.name in kept
        ]
        if not photos:
            raise DataUnusable(
                f"Every class has fewer than {arguments.min_photos} photos. Add photos, or lower "
                "--min-photos."
            )
        duplicates_found = duplicates.find(photos, pixels[0])
    data_findings = findings.collect(data, photos, unusable, duplicates_found)
    for line in data_findings.lines():
        report_progress(line)
    examples = select_and_split(
        data, photos, duplicates_found, arguments.seed, arguments.min_photos
    )
    report_progress(
        f"split: {', '.join(f'{part} {count}' for part, count in _split_sizes(examples).items())}"
        f"{' (as given)' if data.given else ''}"
    )
    selected = None
    if arguments.fit == "auto":
        backbone = recipe.backbone if isinstance(recipe, HeadRecipe) else find_backbone("lite0")
        selected = select_fit(examples, backbone, temporary, arguments.seed, report_progress)
        if selected.fit != specs[0].fit:
            specs = _specs(recipe, selected.fit)
            read_again(examples.photos, specs, pixels)
    training_data = TrainingData(examples, pixels[0], pixels[-1], specs[0], arguments.seed)
    return data_findings, training_data, selected


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


def _require_task(recipe: Recipe, data: layout.Dataset) -> None:
    """Reject photos with several labels where the recipe learns one of each."""
    if data.task == "multi_label" and not isinstance(recipe, LabelRecipe):
        raise DataUnusable(
            f"Photos of {data.name} have several labels, and {recipe.name} learns one of "
            "each. Use --recipe head, or give each photo one label."
        )


def _train(
    arguments: Arguments,
    training_data: TrainingData,
    temporary: Path,
    report_progress: ReportProgress,
) -> TrainingResult:
    try:
        return arguments.recipe.train(
            training_data, temporary, arguments.checkpoint, report_progress
        )
    except KeyboardInterrupt:
        if arguments.recipe.can_resume(training_data, arguments.checkpoint):
            report_progress(
                "Training was stopped. Add --resume to the same command to continue after the last "
                "whole epoch."
            )
        raise


def _list_findings(data_findings: Findings, folder: Path) -> None:
    """Write the names of all findings into the bundle, where the terminal shows only some."""
    if text := data_findings.full_list():
        (folder / findings.LIST).parent.mkdir(exist_ok=True)
        (folder / findings.LIST).write_text(text, encoding="utf-8")


def _origin(work: _Work, found: Mapping[str, Any], began: float) -> TrainingOrigin:
    arguments, examples = work.arguments, work.training_data.examples
    return TrainingOrigin(
        recipe=arguments.recipe.name,
        arguments={
            **arguments.metadata(),
            **found,
            **(work.fit.metadata() if work.fit else {}),
            "photos": _split_sizes(examples),
        },
        seed=arguments.seed,
        data=fingerprint(examples.photos),
        libraries=arguments.recipe.libraries,
        began=began,
    )


def _split_sizes(examples: Examples) -> dict[str, int]:
    return {part: len(examples.indices_of(part)) for part in layout.PARTS}
