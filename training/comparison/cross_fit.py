"""Predict the photos that a version learnt from by last layers that were fitted without them.

    embeddings, labels, the C of bundle.json -> the last layer, fitted again on all its photos
                                             -> the probabilities of the graph? else none
    folds -> for each, the last layer without it -> predictions of its photos

A version for which the first step gives other probabilities was trained on other photos or labels
than there are now, or in another way. Then its layers without a fold would not be those of this
version, and nothing is predicted.

A few photos may have been removed since, or have got another label. Those that the graph itself
takes for another label than they have now are left out; the layer is fitted on the rest, must be
near the graph, and predicts the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.bundle import Bundle
from app.runtime.accepted_labels import accepted_labels
from training import label_layer, last_layer
from training.calibration import softmax
from training.comparison.photos import ComparedPhotos
from training.contracts import Integers
from training.data import split
from training.label_calibration import LabelCalibration
from training.last_layer import Head

TOLERANCE = 0.02
"""Largest difference of a probability between the graph and the layer that was fitted again."""
_TOLERANCE_OF_REST = 0.15
"""The same where some photos are missing or left out."""
_MOST_LEFT_OUT = 0.1
"""The largest share of its photos that may be missing or left out."""

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Predictions out of fold, or why there are none."""

    probabilities: NDArray[np.float64] | None
    """(M, K)."""
    obstacle: str = ""
    left_out: Mask | None = None
    """(M,) photos that aren't predicted, because they have another label than in the training."""


@dataclass(frozen=True, eq=False)
class _Layer:
    """How the last layer of a version is fitted, and how its probabilities are calibrated."""

    fit: Callable[[Floats, Mask], Head]
    probabilities: Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class Ran:
    """The photos that a version's graph was run on, and its outputs."""

    rows: Integers
    """(M,) indices of photos."""
    probabilities: NDArray[np.float32]
    """(M, K)."""
    embeddings: NDArray[np.float32] | None
    """(M, D); None if the graph has none."""


def out_of_fold(
    bundle: Bundle, photos: ComparedPhotos, learnt: Mask, missing: int, ran: Ran
) -> CrossFit:
    """Return predictions for the photos that were run, each without the photo's fold.

    Args:
        bundle: the version.
        photos: all photos.
        learnt: (N,) the photos that it learnt from.
        missing: how many photos that it learnt from aren't there any more.
        ran: the graph's outputs; for all photos that it learnt from, or nothing is predicted.
    """
    version = f"version {bundle.manifest.version}"
    layer = _layer_of(bundle)
    if layer is None or ran.embeddings is None:
        return CrossFit(None, f"the way in which {version} was trained can't be repeated quickly")
    truth = photos.matrix_of([label.name for label in bundle.manifest.labels])[ran.rows]
    every = learnt[ran.rows]
    missing += int(learnt.sum() - every.sum())
    chosen = _fitted_on(bundle, layer, ran, truth, every, missing)
    if chosen is None:
        return CrossFit(
            None, f"of the photos that {version} learnt from, too many are gone or relabelled"
        )
    folds = split.folds(_strata(photos)[ran.rows], photos.groups[ran.rows], 0)
    result = np.empty(ran.probabilities.shape)
    for fold in range(split.FOLDS):
        outside, inside = chosen & (folds != fold), folds == fold
        if not _has_all_labels(bundle, truth[outside]):
            return CrossFit(None, f"{version} has a label with too few photos to leave some out")
        head = layer.fit(ran.embeddings[outside], truth[outside])
        result[inside] = layer.probabilities(head.logits(ran.embeddings[inside]))
    return CrossFit(result, left_out=every & ~chosen)


def _fitted_on(
    bundle: Bundle, layer: _Layer, ran: Ran, truth: Mask, learnt: Mask, missing: int
) -> Mask | None:
    """Return the photos (M,) on which the layer can be fitted again; None if there are too few.

    Args:
        bundle: the version.
        layer: how it is fitted.
        ran: the graph's outputs.
        truth: (M, K) the labels that the photos have now.
        learnt: (M,) the photos that the version learnt from.
        missing: how many others it learnt from.
    """
    if not missing and _is_near(bundle, layer, ran, truth, learnt, TOLERANCE):
        return learnt
    if bundle.manifest.task == "multi_label":
        as_learnt = (accepted_labels(ran.probabilities, bundle.manifest) == truth).all(axis=1)
    else:
        as_learnt = truth[np.arange(len(truth)), ran.probabilities.argmax(axis=1)]
    rest = learnt & as_learnt
    total = missing + int(learnt.sum())
    if total - int(rest.sum()) > _MOST_LEFT_OUT * total:
        return None
    return rest if _is_near(bundle, layer, ran, truth, rest, _TOLERANCE_OF_REST) else None


def _is_near(
    bundle: Bundle, layer: _Layer, ran: Ran, truth: Mask, chosen: Mask, tolerance: float
) -> bool:
    """Return whether the layer, fitted on photos `chosen`, gives the graph's probabilities."""
    assert ran.embeddings is not None
    if not _has_all_labels(bundle, truth[chosen]):
        return False
    head = layer.fit(ran.embeddings[chosen], truth[chosen])
    again = layer.probabilities(head.logits(ran.embeddings[chosen]))
    return float(np.abs(again - ran.probabilities[chosen]).max()) <= tolerance


def _layer_of(bundle: Bundle) -> _Layer | None:
    """Return how to fit the last layer again; None if it isn't known."""
    manifest = bundle.manifest
    arguments, calibration = manifest.training.arguments, manifest.calibration
    c = arguments.get("strength")
    if manifest.training.recipe != "head" or c is None or calibration is None:
        return None
    if arguments.get("mirrored"):
        return None
    if manifest.task == "single_label":
        temperature = calibration.temperature
        return _Layer(
            lambda inputs, truth: last_layer.fit_head(inputs, truth.argmax(axis=1), c),
            lambda logits: softmax(logits / temperature),
        )
    scales = LabelCalibration(np.array(calibration.scales), np.array(calibration.offsets))
    return _Layer(
        lambda inputs, truth: label_layer.fit(np.asarray(inputs, np.float32), truth, c),
        scales.probabilities,
    )


def _has_all_labels(bundle: Bundle, truth: Mask) -> bool:
    """Return whether every label occurs, and for one label each, every photo has one of them."""
    if bundle.manifest.task == "multi_label":
        return True
    return bool(truth.any(axis=0).all() and truth.any(axis=1).all())


def _strata(photos: ComparedPhotos) -> Integers:
    """Return a number for each photo, the same for photos with the same labels."""
    return np.unique(photos.label_matrix, axis=0, return_inverse=True)[1].ravel()
