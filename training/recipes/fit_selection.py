"""Select by cross-validation how photos that aren't square are read: cover, stretch or contain.

    photos of train and val -> for each fit: pixels -> the backbone's embeddings
                            -> a last layer, cross-validated -> loss and accuracy out of fold

Another fit than cover is selected only if its loss is lower by more than the standard error of the
difference; for an input that isn't square, another than stretch. The recipe itself then trains
with the selected fit alone.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from app.bundle import Fit, InputSpec
from app.runtime.evaluation.accuracy import top_k_accuracy
from app.runtime.session import Session
from training import label_layer, last_layer
from training.calibration import softmax
from training.contracts import ReportProgress
from training.data import split
from training.data.examples import Examples
from training.data.photos import read_rows
from training.errors import DataUnusable
from training.parallel import run_graph
from training.recipes.backbone import Backbone

_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class SelectedFit:
    """The selected fit, and what cross-validation gave for each."""

    fit: Fit
    candidates: Mapping[Fit, Mapping[str, float]]
    """Loss and accuracy out of fold; empty if no photo was read."""
    seconds: float

    def metadata(self) -> dict[str, Any]:
        """Return what bundle.json records of the selection."""
        return {"fit_candidates": self.candidates, "fit_seconds": round(self.seconds, 1)}


def with_fit(spec: InputSpec, fit: Fit) -> InputSpec:
    """Return the input with another fit; where the whole photo is read, nothing is cropped.

    Raises:
        DataUnusable: the fit is cover, and the input isn't square.
    """
    if fit == spec.fit:
        return spec
    if fit == "cover" and spec.height != spec.width:
        raise DataUnusable(
            f"The backbone reads {spec.describe_size()} pixels, which isn't square, so it can't "
            "read the centre square. Pass --fit stretch or contain, or leave it out."
        )
    return spec.model_copy(update={"fit": fit, "crop": spec.crop if fit == "cover" else 1.0})


def select_fit(
    examples: Examples,
    backbone: Backbone,
    temporary: Path,
    seed: int,
    report_progress: ReportProgress,
) -> SelectedFit:
    """Select the fit with the lowest loss out of fold, on train and val.

    Args:
        examples: the photos and their split.
        backbone: the network whose embeddings are compared, whatever the recipe.
        temporary: a folder for pixels and graphs.
        seed: of the folds.
        report_progress: called with each line of progress.
    """
    began = time.monotonic()
    spec = backbone.input
    is_square = spec.height == spec.width
    if is_square and all(photo.width == photo.height for photo in examples.photos):
        report_progress("fit: all photos are square, so each is the same; selected cover")
        return SelectedFit("cover", {}, time.monotonic() - began)
    train_val = examples.indices_of("train", "val")
    strata = examples.truth[train_val]
    is_multi_label = examples.label_matrix is not None
    deal = split.folds if is_multi_label else split.folds_of_classes
    folds = deal(strata, examples.groups[train_val], seed)
    session = Session(backbone.graphs(temporary)["fp32"], "cpu", "fp32")
    losses: dict[Fit, NDArray[np.float64]] = {}
    candidates: dict[Fit, Mapping[str, float]] = {}
    for fit in get_args(Fit) if is_square else ("stretch", "contain"):
        spec = with_fit(backbone.input, fit)
        files = [examples.photos[index].file.path for index in train_val.tolist()]
        pixels = read_rows(files, spec, temporary / f"pixels.{fit}.npy", f"reading {fit}")
        rows = range(len(files))
        (embeddings,) = run_graph(session, ["embedding"], pixels, rows, f"embedding {fit}")
        losses[fit], accuracy = _out_of_fold(embeddings, examples, train_val, folds)
        candidates[fit] = {"loss": float(losses[fit].mean()), "accuracy": accuracy}
        del pixels
        (temporary / f"pixels.{fit}.npy").unlink()
    selected, seconds = best_fit(losses), time.monotonic() - began
    figures = ", ".join(f"{fit} {100 * each['accuracy']:.1f} %" for fit, each in candidates.items())
    report_progress(
        f"fit: cross-validated accuracy {figures}; selected {selected} (this took {seconds:.0f} s)"
    )
    return SelectedFit(selected, candidates, seconds)


def _out_of_fold(
    embeddings: NDArray[np.float32],
    examples: Examples,
    train_val: NDArray[np.intp],
    folds: NDArray[np.intp],
) -> tuple[NDArray[np.float64], float]:
    """Return the loss of each photo, and the share of right labels, both out of fold."""
    if examples.label_matrix is not None:
        has = examples.label_matrix[train_val]
        logits = label_layer.cross_validate(embeddings, has, folds).logits
        losses: NDArray[np.float64] = np.logaddexp(0, np.where(has, -logits, logits))
        return losses.mean(axis=1), float(((logits > 0) == has).mean())
    truth = examples.truth[train_val]
    scores = last_layer.cross_validate(embeddings, truth, folds).logits(embeddings, folds)
    probabilities = softmax(scores)[np.arange(len(truth)), truth]
    return -np.log(np.maximum(probabilities, _TINY)), top_k_accuracy(scores, truth, 1)


def best_fit(losses: Mapping[Fit, NDArray[np.float64]]) -> Fit:
    """Return the fit with the lowest mean loss; the first unless the difference is beyond doubt.

    Args:
        losses: (N,) of each photo, by fit.
    """
    first = next(iter(losses))
    best = min(losses, key=lambda fit: float(losses[fit].mean()))
    gains = losses[first] - losses[best]
    standard_error = float(gains.std()) / np.sqrt(len(gains))
    return best if float(gains.mean()) > standard_error else first
