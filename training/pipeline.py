"""Run `hubel train`, from a folder of photos to a bundle.

    DATA -> photos, their pixels and their split            reading
         -> the recipe: a trained graph                     recipes
         -> parity, int8, figures, golden photos            packaging.recipe_result
            or, where photos may have several labels,       packaging.label_result
         -> report, model card, bundle.json                 packaging.build

Pixels lie in a folder beside the output while training runs, and so does the unfinished bundle.
Ctrl-C removes both. It keeps the checkpoint `.NAME.checkpoint` beside the output, which finetune
and scratch write after each epoch. A killed run also leaves its hidden folders; the next run
removes them.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from app.bundle import Bundle, Label, Manifest
from training import reading
from training.arguments import Arguments
from training.contracts import Recipe, ReportProgress
from training.data import findings
from training.data.findings import Findings
from training.data.photos import fingerprint
from training.packaging import (
    label_result,
    model_card,
    photo_record,
    recipe_result,
    suspects,
    versions,
)
from training.packaging.build import ManifestFields, TrainingOrigin, build_bundle
from training.packaging.staging import folder_beside, report_kept, require_free
from training.processes import Processes
from training.reading import ReadData
from training.recipes.head import HeadRecipe
from training.report import Content, LabelContent

__all__ = ["Arguments", "Result", "follow", "train"]


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
        data = reading.read(arguments, temporary, report_progress)
        training_data = data.training_data
        work = _Work(arguments, data, folder, temporary, report_progress)
        has_several = training_data.examples.label_matrix is not None
        packaged = (_train_labels if has_several else _train_classes)(work, began)
        _list_findings(data.findings, folder)
        photo_record.write(training_data.examples, _backbone_photos(arguments.recipe), folder)
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
    return Result(bundle, data.findings)


def follow(arguments: Arguments, processes: Processes) -> None:
    """Train in a process that doesn't lead: the first of each other machine reads the photos.

    Raises:
        DataUnusable: the photos or the arguments can't be used, or another process has ended.
        GateMissed: the loss is not a finite number.
    """
    with tempfile.TemporaryDirectory(prefix="hubel-") as folder:
        temporary = Path(folder)
        training_data = None
        if processes.reads_photos:
            training_data = reading.read(arguments, temporary, lambda _: None).training_data
        arguments.recipe.follow(training_data, temporary, arguments.checkpoint)


@dataclass(frozen=True, eq=False)
class _Work:
    """The inputs of training, and the folders that it works in."""

    arguments: Arguments
    data: ReadData
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
    training_data, findings = work.data.training_data, work.data.findings
    with _telling_of_the_checkpoint(work):
        trained = work.arguments.recipe.train(
            training_data, work.temporary, work.arguments.checkpoint, work.report_progress
        )
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
    training_data, findings = work.data.training_data, work.data.findings
    promise = work.arguments.promise
    accept_precision = None if promise is None else promise.precision
    with _telling_of_the_checkpoint(work):
        trained = work.arguments.recipe.train_labels(
            training_data,
            work.temporary,
            work.arguments.checkpoint,
            accept_precision,
            work.report_progress,
        )
    exported = label_result.export(
        training_data,
        trained,
        work.folder,
        work.temporary,
        accept_precision,
        work.report_progress,
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


@contextmanager
def _telling_of_the_checkpoint(work: _Work) -> Iterator[None]:
    """Say after Ctrl-C how training can be continued, if it can."""
    try:
        yield
    except KeyboardInterrupt:
        arguments = work.arguments
        if arguments.recipe.can_resume(work.data.training_data, arguments.checkpoint):
            work.report_progress(
                "Training was stopped. Add --resume to the same command to continue after the last "
                "whole epoch."
            )
        raise


def _backbone_photos(recipe: Recipe) -> frozenset[str]:
    """Return the recorded photos that the layers below a new head learnt from."""
    return recipe.backbone.learnt_from if isinstance(recipe, HeadRecipe) else frozenset()


def _list_findings(data_findings: Findings, folder: Path) -> None:
    """Write the names of all findings into the bundle, where the terminal shows only some."""
    if text := data_findings.full_list():
        (folder / findings.LIST).parent.mkdir(exist_ok=True)
        (folder / findings.LIST).write_text(text, encoding="utf-8")


def _origin(work: _Work, found: Mapping[str, Any], began: float) -> TrainingOrigin:
    arguments, examples = work.arguments, work.data.training_data.examples
    return TrainingOrigin(
        recipe=arguments.recipe.name,
        arguments={
            **arguments.metadata(),
            **found,
            **(work.data.fit.metadata() if work.data.fit else {}),
            "photos": reading.split_sizes(examples),
        },
        seed=arguments.seed,
        data=fingerprint(examples.photos),
        libraries=arguments.recipe.libraries,
        began=began,
    )
