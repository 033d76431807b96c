"""What the recipe `head` has to tell in a bundle's report."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from app.bundle import Manifest, Precision
from training import calibration, familiarity
from training.dataset import PARTS
from training.findings import Findings
from training.head_learning import Learnt, Task
from training.report import Content, Curve, Line


def content(
    task: Task,
    learnt: Learnt,
    given: Mapping[Precision, NDArray[np.float32]],
    int8: str,
    manifest: Manifest,
    found: Findings,
) -> Content:
    """The report of a head.

    Args:
        task: the photos.
        learnt: the last layer, and how it was chosen.
        given: by precision, the graph's probabilities (T, K) of the test photos.
        int8: what came of it.
        manifest: of the bundle.
        found: in the data.
    """
    examples, tested = task.examples, task.examples.of("test")
    classes, rows = len(examples.labels), examples.rows[tested]
    return Content(
        manifest=manifest,
        measured_on=f"{examples.data}, its test split",
        figures=manifest.metrics,
        truth=examples.truth[tested],
        probabilities=given,
        names=[examples.photos[index].file.name for index in tested.tolist()],
        thumbnails=lambda index: task.pixels[rows[index]],
        uncalibrated=calibration.softmax(learnt.head.logits(learnt.embeddings[tested])),
        sizes={
            part: np.bincount(examples.truth[examples.of(part)], minlength=classes)
            for part in PARTS
        },
        findings=found,
        curves=(_strengths(learnt),),
        int8=f"{int8}.",
        scores=familiarity.score(learnt.embeddings[tested], learnt.prototypes),
    )


def _strengths(learnt: Learnt) -> Curve:
    losses = learnt.losses
    return Curve(
        title="Strengths tried, cross-validated over train and val",
        x="strength (C: the larger, the freer)",
        y="negative log-likelihood",
        lines=(Line("out of fold", list(losses.values()), list(losses)),),
        logarithmic=True,
        chosen=learnt.strength,
    )
