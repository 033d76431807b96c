"""`hubel train`, told from top to bottom.

    DATA -> files -> photos and their pixels        dataset, reading
         -> duplicates -> findings, told at once    duplicates, findings
         -> train, val, test                        examples, split
         -> the recipe: a trained graph             head_recipe
         -> report/index.html                       report
         -> bundle.json and its folder              bundling

Pixels are kept in a folder beside the output while training runs, and so is the bundle until it
is whole: Ctrl-C leaves nothing behind.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app import bundle as bundles
from app.bundle import Bundle, Label, Manifest, Training
from training import (
    bundling,
    dataset,
    duplicates,
    findings,
    head_recipe,
    provenance,
    reading,
    report,
)
from training.errors import DataUnusable
from training.examples import Examples, prepare
from training.findings import Findings
from training.head_learning import Task
from training.output import require_free

BACKBONE = Path(__file__).parent.parent / "model" / "imagenet"


@dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

    data: Path
    output: Path
    recipe: str
    name: str
    version: int
    seed: int

    def recorded(self) -> dict[str, Any]:
        """For bundle.json: folders by their last name, since a path is true on one machine."""
        return {"data": self.data.resolve().name, "recipe": self.recipe, "seed": self.seed}


@dataclass(frozen=True)
class Trained:
    """What came of it."""

    bundle: Bundle
    findings: Findings


def train(arguments: Arguments, tell: Callable[[str], None]) -> Trained:
    """Make a bundle of a folder of photos and move it to its place, whole.

    Raises:
        DataUnusable: the photos or the arguments can't be used.
        GateMissed: the graph doesn't give what was trained.
    """
    began = time.monotonic()
    require_free(arguments.output, arguments.data)
    backbone = bundles.load(BACKBONE)
    with (
        bundling.folder_beside(arguments.output) as scratch,
        bundling.folder_beside(arguments.output) as folder,
    ):
        found, examples, pixels = _look(arguments, backbone, scratch, tell)
        task = Task(examples, pixels, backbone, arguments.seed)
        made = head_recipe.train(task, folder, scratch, tell)
        manifest = Manifest(
            name=arguments.name,
            version=arguments.version,
            labels=tuple(Label(name=label) for label in examples.labels),
            input=backbone.manifest.input,
            files=bundles.record_files(folder, bundling.files_in(folder)),
            golden=made.golden,
            metrics=made.metrics,
            calibration=made.calibration,
            unknown=made.unknown,
            baseline=made.baseline,
            training=Training(
                recipe=arguments.recipe,
                arguments={**arguments.recorded(), **made.chosen},
                seed=arguments.seed,
                data=reading.fingerprint(examples.photos),
                versions=provenance.versions(*head_recipe.LIBRARIES),
                git_commit=provenance.git_commit(),
                seconds=round(time.monotonic() - began, 1),
            ),
        )
        report.write(made.report(manifest, found), folder / "report")
        files = bundles.record_files(folder, bundling.files_in(folder))
        manifest = manifest.model_copy(update={"files": files})
        card = made.card(manifest, found)
        (folder / bundles.MODEL_CARD).write_text(card, encoding="utf-8")
        return Trained(bundles.save(manifest, folder, arguments.output), found)


def _look(
    arguments: Arguments, backbone: Bundle, scratch: Path, tell: Callable[[str], None]
) -> tuple[Findings, Examples, NDArray[np.uint8]]:
    """Read all photos, say what they are like, and split them."""
    data = dataset.look_into(arguments.data)
    if not data.files:
        raise DataUnusable(
            f"{arguments.data} holds no photos. It must hold a folder per class, with photos."
        )
    photos, unusable, pixels = reading.read(data.files, backbone.manifest.input, scratch)
    if not photos:
        raise DataUnusable(
            f"None of the {len(data.files)} files of {arguments.data} is a photo; the first, "
            f"{unusable[0].file.name}: {unusable[0].reason} Name a folder of photos."
        )
    doubles = duplicates.find(photos)
    found = findings.collect(data, photos, unusable, doubles)
    for line in found.lines():
        tell(line)
    examples = prepare(data, photos, doubles, arguments.seed)
    counts = ", ".join(f"{part} {len(examples.of(part))}" for part in dataset.PARTS)
    tell(f"split: {counts}{' (as given)' if data.given else ''}")
    return found, examples, pixels
