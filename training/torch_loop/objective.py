"""The loss of a batch and the figures of val: of photos with one class, or with several labels.

one class        cross-entropy, weighted by class               -> accuracy
several labels   binary cross-entropy, summed over the labels   -> mean average precision
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from app.runtime.evaluation import label_figures
from training import calibration, label_calibration
from training.torch_loop.config import TrainValPhotos

Logits = NDArray[np.float32]


class Objective(Protocol):
    """What a network learns."""

    def targets(self, selected: NDArray[np.intp]) -> Tensor:
        """Return the targets of photos, by their indices."""
        ...

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each photo (M,), by its logits (M, K)."""
        ...

    def validate(self, logits: Logits) -> tuple[float, float]:
        """Return the loss and the accuracy of logits (M, K) on val."""
        ...


def objective_of(photos: TrainValPhotos, label_smoothing: float) -> Objective:
    """Return the objective of the photos: by their classes, or by their labels."""
    examples = photos.training_data.examples
    if examples.label_matrix is None:
        return ClassObjective(photos, label_smoothing)
    return LabelObjective(photos, examples.label_matrix, label_smoothing)


@dataclass(frozen=True, eq=False)
class ClassObjective:
    """One class for each photo."""

    photos: TrainValPhotos
    label_smoothing: float

    def targets(self, selected: NDArray[np.intp]) -> Tensor:
        """Return the classes (M,)."""
        return torch.from_numpy(self.photos.training_data.examples.truth[selected])

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy (M,), weighted by class."""
        # The `weight` of cross_entropy also weights the smoothing: where one class has ten times
        # the photos of the other, the targets of its photos would move towards the other class.
        losses = functional.cross_entropy(
            logits, targets, reduction="none", label_smoothing=self.label_smoothing
        )
        return losses * self.photos.class_weights.to(logits.device)[targets]

    def validate(self, logits: Logits) -> tuple[float, float]:
        """Return the calibrated negative log-likelihood, and the share of right classes."""
        truth = self.photos.training_data.examples.truth[self.photos.val]
        label_smoothing = calibration.label_smoothing_for(len(truth))
        temperature = calibration.fit_temperature(logits, truth, label_smoothing)
        probabilities = calibration.softmax(logits / temperature)
        target = probabilities[np.arange(len(truth)), truth]
        loss = -np.log(np.maximum(target, np.finfo(np.float32).tiny)).mean()
        return float(loss), float((logits.argmax(axis=1) == truth).mean())


@dataclass(frozen=True, eq=False)
class LabelObjective:
    """Any number of labels for each photo."""

    photos: TrainValPhotos
    label_matrix: NDArray[np.bool_]
    label_smoothing: float

    def targets(self, selected: NDArray[np.intp]) -> Tensor:
        """Return 1 where a photo has the label, and 0 elsewhere, (M, K)."""
        return torch.from_numpy(self.label_matrix[selected].astype(np.float32))

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the binary cross-entropy (M,): the sum, so that gradients are as with classes."""
        smoothed = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        losses = functional.binary_cross_entropy_with_logits(logits, smoothed, reduction="none")
        return losses.sum(dim=1)

    def validate(self, logits: Logits) -> tuple[float, float]:
        """Return the calibrated negative log-likelihood, and the mean average precision."""
        truth = self.label_matrix[self.photos.val]
        fitted = label_calibration.fit(logits, truth)
        probabilities = fitted.probabilities(logits)
        scaled = logits * fitted.scales + fitted.offsets
        loss = float((np.logaddexp(0, scaled) - truth * scaled).mean())
        labels = label_figures.per_label(probabilities, truth, truth)
        return loss, label_figures.overall(labels, truth, truth).mean_average_precision
