"""The calibration and thresholds that labelled photos give an imported multi-label model.

the graph's probabilities -> log-odds -> a scale and an offset for each label -> into the graph
                                      -> cross-fitted probabilities -> thresholds, figures
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.bundle import Calibration, MultiLabelMetrics
from training import label_calibration, thresholds
from training.calibration import FOLDS, sigmoid
from training.label_calibration import LabelCalibration, mean_ece
from training.packaging import measure

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LabelDecisions:
    """The thresholds of a multi-label model, and its calibration on N photos, if there are any."""

    thresholds: tuple[float, ...]
    calibration: LabelCalibration | None = None
    cross_fitted: NDArray[np.float64] | None = None
    """(N, K) probabilities, each by a calibration that was fitted without the photo's fold."""
    figures: Calibration | None = None

    @classmethod
    def uncalibrated(cls, labels: int) -> "LabelDecisions":
        """Return the decisions without photos: every label is accepted from one half."""
        return cls((thresholds.DEFAULT,) * labels)

    def metrics(
        self, probabilities: NDArray[np.float32], truth: Mask, on: str
    ) -> MultiLabelMetrics:
        """Return the figures of one graph, from probabilities (N, K) of the photos.

        The calibration error is that of the cross-fitted probabilities.
        """
        found = measure.label_metrics(probabilities, truth, self.thresholds, on)
        if self.cross_fitted is None:
            return found
        ece = mean_ece(self.cross_fitted, truth)
        return found.model_copy(update={"ece": ece, "on": f"{on}; ECE cross-fitted"})


def fit(probabilities: NDArray[np.float32], truth: Mask, name: str, seed: int) -> LabelDecisions:
    """Calibrate the labels by the graph's probabilities (N, K), and choose their thresholds."""
    logits = log_odds(probabilities)
    found = label_calibration.fit(logits, truth)
    cross_fitted = label_calibration.cross_fitted(logits, truth, seed, FOLDS)
    return LabelDecisions(
        thresholds=tuple(thresholds.best_f1(cross_fitted, truth)),
        calibration=found,
        cross_fitted=cross_fitted,
        figures=Calibration(
            temperature=1.0,
            scales=tuple(found.scales.tolist()),
            offsets=tuple(found.offsets.tolist()),
            ece_before=mean_ece(sigmoid(logits), truth),
            ece_after=mean_ece(cross_fitted, truth),
            images=len(truth),
            on=f"{name}, cross-fitted: {FOLDS} folds, each scored with a calibration fitted on the "
            f"other {FOLDS - 1}",
        ),
    )


def log_odds(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the logits whose sigmoids are `probabilities`, which are float32."""
    numbers = np.finfo(np.float32)
    p = probabilities.astype(np.float64).clip(numbers.tiny, 1 - numbers.epsneg)
    return np.asarray(np.log(p) - np.log1p(-p))
