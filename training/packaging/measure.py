"""Turn predictions on photos with a label into the figures of bundle.json.

probabilities, true classes     -> top-1, top-5, expected calibration error
logits, temperature             -> the calibration error without and with the temperature
probabilities, decisions        -> the baseline, histograms that drift is measured against
embeddings                      -> its mean and spread of embeddings
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from app.bundle import (
    Baseline,
    Calibration,
    DecisionRule,
    EmbeddingBaseline,
    Metrics,
    MultiLabelMetrics,
    Precision,
    UnknownRule,
)
from app.runtime.evaluation import accuracy, label_figures
from app.runtime.evaluation.calibration_error import calibration_error
from training import calibration
from training.calibration import Temperatures, sigmoid
from training.label_calibration import LabelCalibration, mean_ece

BASELINE_BINS = 20

Floats = NDArray[np.floating]
Integers = NDArray[np.intp]
Mask = NDArray[np.bool_]


def metrics(
    probabilities: NDArray[np.float32],
    truth: Integers,
    photos: str,
    temperatures: Temperatures | None = None,
) -> Metrics:
    """Return the figures of one graph.

    Args:
        probabilities: (N, K).
        truth: (N,) class indices.
        photos: a description of the photos, in words.
        temperatures: where the temperature was cross-fitted on these photos; the calibration error
            then uses for each photo the temperature fitted without the photo's fold.
    """
    scored: Floats = probabilities
    if temperatures is not None:
        scored = calibration.recalibrate(probabilities, temperatures)
    return Metrics(
        top1=accuracy.top_k_accuracy(probabilities, truth, 1),
        top5=accuracy.top_k_accuracy(probabilities, truth, 5),
        ece=calibration_error(scored, truth),
        images=len(truth),
        on=photos,
    )


def label_metrics(
    probabilities: NDArray[np.floating], truth: Mask, thresholds: Sequence[float], photos: str
) -> MultiLabelMetrics:
    """Return the figures of one graph of a multi-label model.

    Args:
        probabilities: (N, K).
        truth: (N, K) whether each photo has each label.
        thresholds: (K,) from which the labels are accepted.
        photos: a description of the photos, in words.
    """
    accepted = probabilities >= np.array(thresholds, np.float32)
    labels = label_figures.per_label(probabilities, accepted, truth)
    overall = label_figures.overall(labels, accepted, truth)
    return MultiLabelMetrics(**asdict(overall), images=len(truth), on=photos)


def label_calibration_on_new_photos(
    logits: Floats, truth: Mask, calibration: LabelCalibration, photos: str
) -> Calibration:
    """Return the gain of the labels' calibration on photos (N, K) that it was not fitted on."""
    return Calibration(
        temperature=1.0,
        scales=tuple(calibration.scales.tolist()),
        offsets=tuple(calibration.offsets.tolist()),
        ece_before=mean_ece(sigmoid(logits), truth),
        ece_after=mean_ece(calibration.probabilities(logits), truth),
        images=len(truth),
        on=photos,
    )


def calibration_on_new_photos(
    logits: Floats, truth: Integers, temperature: float, photos: str
) -> Calibration:
    """Return the gain of a temperature on photos (N, K) that it was not fitted on."""
    return _calibration(logits, truth, temperature, temperature, photos)


def cross_fitted(
    logits: Floats, truth: Integers, temperatures: Temperatures, name: str
) -> Calibration:
    """Return the gain of a temperature that was cross-fitted on these photos (N, K)."""
    photos = (
        f"{name}, cross-fitted: {calibration.FOLDS} folds, each scored with a "
        f"temperature fitted on the other {calibration.FOLDS - 1}"
    )
    divisors = temperatures.of_photo[:, np.newaxis]
    return _calibration(logits, truth, temperatures.of_all_photos, divisors, photos)


def baseline(
    probabilities: NDArray[np.float32],
    *,
    thresholds: Sequence[float] | None = None,
    decisions: Mapping[str, int] | None = None,
    embeddings: Mapping[Precision, NDArray[np.float32]] | None = None,
) -> Baseline:
    """Return the histograms of the model's predictions (N, K), which drift is measured against.

    Args:
        probabilities: (N, K).
        thresholds: (K,) of a multi-label model: those from which the labels are accepted.
        decisions: the number of photos by decision; None if the model makes none.
        embeddings: (N, D) by each graph; None if they have none.
    """
    confidence = probabilities.max(axis=1)
    counts, _ = np.histogram(confidence, BASELINE_BINS, (0, 1))
    if thresholds is None:
        labels = np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])
    else:
        labels = (probabilities >= np.array(thresholds, np.float32)).sum(axis=0)
    return Baseline(
        images=len(confidence),
        confidence=tuple(counts.tolist()),
        decisions=decisions,
        labels=tuple(labels.tolist()),
        embeddings=_embedding_baselines(embeddings or {}) or None,
    )


def _embedding_baselines(
    embeddings: Mapping[Precision, NDArray[np.float32]],
) -> dict[Precision, EmbeddingBaseline]:
    """Return the mean and spread of the embeddings of each graph, where they differ by photo."""
    baselines: dict[Precision, EmbeddingBaseline] = {}
    for precision, rows in embeddings.items():
        mean = rows.mean(axis=0, dtype=np.float64)
        centred = rows - mean.astype(np.float32)
        # Both products have the eigenvalues of the scatter matrix; the smaller one is made
        products = centred @ centred.T if len(rows) < len(mean) else centred.T @ centred
        total = float(np.trace(products))
        variance = total / max(len(rows) - 1, 1)
        if not variance or not np.isfinite(variance):
            continue
        dimensions = total**2 / float((products.astype(np.float64) ** 2).sum())
        baselines[precision] = EmbeddingBaseline(
            mean=tuple(float(f"{value:.5g}") for value in mean),
            variance=variance,
            dimensions=max(dimensions, 1.0),
        )
    return baselines


def decisions(
    probabilities: NDArray[np.float32],
    scores: Floats,
    unknown: UnknownRule,
    rule: DecisionRule | None,
    labels: Sequence[str],
) -> Mapping[str, int]:
    """Return the number of photos by decision of a single-label model.

    Args:
        probabilities: (N, K).
        scores: (N,) those that `unknown` compares with its threshold.
        unknown: the out-of-distribution threshold.
        rule: the acceptance threshold; None: two thirds.
        labels: (K,) the names.
    """
    of_label = [(rule or DecisionRule()).threshold_of(label) for label in labels]
    levels = np.array([np.inf if level is None else level for level in of_label])
    is_certain = probabilities.max(axis=1) >= levels[probabilities.argmax(axis=1)]
    return count_decisions(scores < unknown.threshold, ~is_certain)


def count_decisions(is_unknown: Mask, is_unsure: Mask) -> Mapping[str, int]:
    """Return the number of photos by decision; a photo that is unknown can't be unsure."""
    return {
        "accepted": int((~is_unknown & ~is_unsure).sum()),
        "unsure": int((~is_unknown & is_unsure).sum()),
        "unknown": int(is_unknown.sum()),
    }


def _calibration(
    logits: Floats, truth: Integers, temperature: float, divisors: float | Floats, photos: str
) -> Calibration:
    before = calibration.softmax(logits)
    after = calibration.softmax(logits / divisors)
    return Calibration(
        temperature=temperature,
        ece_before=calibration_error(before, truth),
        ece_after=calibration_error(after, truth),
        images=len(truth),
        on=photos,
    )
