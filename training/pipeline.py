"""`hubel train`, told from top to bottom.

    DATA -> files -> photos and their pixels        dataset, reading
         -> duplicates -> findings, told at once    duplicates, findings
         -> train, val, test                        examples, split
         -> the recipe: a trained graph             head_recipe, finetune_recipe, scratch_recipe
         -> parity, int8, figures, golden photos    ending
         -> report/index.html                       report
         -> bundle.json and its folder              bundling

Pixels are kept in a folder beside the output while training runs, and so is the bundle until it
is whole: Ctrl-C leaves nothing behind but the checkpoint to go on from, where the recipe has one.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import bundle as bundles
from app.bundle import Bundle, Label, Manifest, Training
from training import report
from training.contracts import Recipe, ReportProgress, TrainingData, TrainingResult
from training.data import duplicates, findings, layout
from training.data.examples import prepare
from training.data.findings import Findings
from training.data.photos import fingerprint, read_photos
from training.errors import DataUnusable
from training.packaging import build, bundle_parts, model_card, provenance
from training.packaging.staging import folder_beside, require_free


@dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    data: Path
    output: Path
    recipe: Recipe
    name: str
    version: int
    seed: int

    def metadata(self) -> dict[str, Any]:
        """For bundle.json: folders by their last name, since a path is true on one machine."""
        return {
            "data": self.data.resolve().name,
            "recipe": self.recipe.name,
            "seed": self.seed,
            **self.recipe.metadata,
        }

    @property
    def checkpoint(self) -> Path:
        """The folder of what an interrupted run leaves to go on from."""
        return self.output.with_name(f".{self.output.name}.checkpoint")


@dataclass(frozen=True)
class Trained:
    """What came of it."""

    bundle: Bundle
    findings: Findings


def train(arguments: Arguments, report_progress: ReportProgress) -> Trained:
    """Make a bundle of a folder of photos and move it to its place, whole.

    Raises:
        DataUnusable: the photos or the arguments can't be used.
        GateMissed: the graph doesn't give what was trained.
    """
    began = time.monotonic()
    require_free(arguments.output, arguments.data)
    with (
        folder_beside(arguments.output) as scratch,
        folder_beside(arguments.output) as folder,
    ):
        found, training_data = _look(arguments, scratch, report_progress)
        trained = _learn(arguments, training_data, scratch, report_progress)
        made = build.finish(training_data, trained, folder, scratch, report_progress)
        manifest = Manifest(
            name=arguments.name,
            version=arguments.version,
            labels=tuple(Label(name=label) for label in training_data.examples.labels),
            input=training_data.input,
            files=bundles.record_files(folder, bundle_parts.files_in(folder)),
            golden=made.golden,
            metrics=made.metrics,
            calibration=made.calibration,
            unknown=trained.unknown,
            baseline=made.baseline,
            training=Training(
                recipe=arguments.recipe.name,
                arguments={
                    **arguments.metadata(),
                    **trained.selected,
                    "photos": {part: len(training_data.examples.of(part)) for part in layout.PARTS},
                },
                seed=arguments.seed,
                data=fingerprint(training_data.examples.photos),
                versions=provenance.versions(*arguments.recipe.libraries),
                git_commit=provenance.git_commit(),
                seconds=round(time.monotonic() - began, 1),
            ),
        )
        report.write(build.report(training_data, trained, made, manifest, found), folder / "report")
        files = bundles.record_files(folder, bundle_parts.files_in(folder))
        manifest = manifest.model_copy(update={"files": files})
        card = model_card.write(trained.card, made.int8, manifest, found)
        (folder / bundles.MODEL_CARD).write_text(card, encoding="utf-8")
        bundle = bundles.save(manifest, folder, arguments.output)
    shutil.rmtree(arguments.checkpoint, ignore_errors=True)
    return Trained(bundle, found)


def _look(
    arguments: Arguments, scratch: Path, report_progress: ReportProgress
) -> tuple[Findings, TrainingData]:
    """Read all photos, say what they are like, and split them."""
    data, recipe = layout.look_into(arguments.data), arguments.recipe
    if not data.files:
        raise DataUnusable(
            f"{arguments.data} holds no photos. It must hold a folder per class, with photos."
        )
    specs = (
        [recipe.input]
        if recipe.augmentation_input is None
        else [recipe.input, recipe.augmentation_input]
    )
    photos, unusable, pixels = read_photos(data.files, specs, scratch)
    if not photos:
        raise DataUnusable(
            f"None of the {len(data.files)} files of {arguments.data} is a photo; the first, "
            f"{unusable[0].file.name}: {unusable[0].reason} Name a folder of photos."
        )
    doubles = duplicates.find(photos)
    found = findings.collect(data, photos, unusable, doubles)
    for line in found.lines():
        report_progress(line)
    examples = prepare(data, photos, doubles, arguments.seed)
    counts = ", ".join(f"{part} {len(examples.of(part))}" for part in layout.PARTS)
    report_progress(f"split: {counts}{' (as given)' if data.given else ''}")
    return found, TrainingData(examples, pixels[0], pixels[-1], recipe.input, arguments.seed)


def _learn(
    arguments: Arguments,
    training_data: TrainingData,
    scratch: Path,
    report_progress: ReportProgress,
) -> TrainingResult:
    try:
        return arguments.recipe.train(training_data, scratch, arguments.checkpoint, report_progress)
    except KeyboardInterrupt:
        if arguments.checkpoint.is_dir():
            report_progress(
                "stopped; the same command with --resume goes on after the last whole epoch"
            )
        raise
