"""The inputs of `training.torch_loop.fit`, and the result of an epoch.

TrainConfig       how to train: batches, optimizers, schedule, augmentation
TrainValPhotos    the photos to train on and to validate on, and the weights of the classes
EpochResult       loss, accuracy and rate of one epoch
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from training.contracts import TrainingData
from training.torch_loop.augmentation import Augment


@dataclass(frozen=True)
class TrainConfig:
    """The hyperparameters of a training run."""

    epochs: int
    batch: int
    """Photos per step."""
    micro_batch: int
    """Photos per forward pass; the gradients of a batch's micro-batches add up."""
    label_smoothing: float
    optimizers: Callable[[nn.Module], Sequence[Optimizer]]
    schedule: Callable[[float], float]
    """The share of training that is done, 0 to 1 -> the factor of the learning rates."""
    augment: Augment
    image_side: Callable[[float], int] | None = None
    """The share of training that is done -> the side in pixels of the images that the network
    reads. None: the side that `augment` gives."""
    ema_epochs: float | None = None
    """Time constant of the exponential moving average of the weights, in epochs. None: none."""
    patience: int | None = None
    """Epochs without an improvement on val after which training ends, with the best weights. None:
    all epochs are trained, and the last weights are the result."""


@dataclass(frozen=True, eq=False)
class TrainValPhotos:
    """The photos to train on and to validate on; pixels stay on disk until they are used."""

    training_data: TrainingData
    train: NDArray[np.intp]
    """Indices of the photos to train on."""
    val: NDArray[np.intp]
    """Indices of the photos to validate on."""
    class_weights: Tensor
    """(K,) the weight of each class's photos in the loss; of photos with several labels, ones."""

    def train_batch(self, positions: Tensor) -> tuple[Tensor, NDArray[np.intp]]:
        """Return pixels (M, S', S', 3) uint8 and indices (M,) of the `positions` of train."""
        selected, examples = self.train[positions.numpy()], self.training_data.examples
        pixels = torch.from_numpy(self.training_data.augmentation_input[examples.rows[selected]])
        return pixels, selected

    def val_batch(self, start: int, stop: int) -> Tensor:
        """Return pixels (M, S, S, 3) uint8 of the positions `start` to `stop` of val."""
        rows = self.training_data.examples.rows[self.val[start:stop]]
        return torch.from_numpy(self.training_data.pixels[rows])


def train_val_photos(training_data: TrainingData) -> TrainValPhotos:
    """Return the splits train and val of `training_data`, with balanced class weights."""
    examples = training_data.examples
    return TrainValPhotos(
        training_data,
        examples.indices_of("train"),
        examples.indices_of("val"),
        class_weights(training_data),
    )


def class_weights(training_data: TrainingData) -> Tensor:
    """Return (K,) weights that balance the classes; their mean over the photos of train is 1.

    Labels of which a photo may have several are not weighted: a weight would move the probability.
    """
    if training_data.examples.label_matrix is not None:
        return torch.ones(len(training_data.examples.labels))
    truth = training_data.examples.truth[training_data.examples.indices_of("train")]
    counts = np.bincount(truth, minlength=len(training_data.examples.labels))
    return torch.tensor(len(truth) / (len(counts) * counts), dtype=torch.float32)


@dataclass(frozen=True)
class EpochResult:
    """The result of one epoch."""

    number: int
    """From 1; 0 is the network before training."""
    loss: float
    val_loss: float
    """Negative log-likelihood, with the calibration fitted on val."""
    val_accuracy: float
    """Of photos with several labels: the mean average precision."""
    rate: float
    """The factor of the learning rates at the end of the epoch."""


def cosine(done: float, warm_up: float = 0.1) -> float:
    """Return a factor that rises linearly, then falls by half a cosine to 0.

    Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts".
    """
    if done < warm_up:
        return done / warm_up
    return (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up))) / 2


def linear(done: float) -> float:
    """Return a factor that falls linearly from 1 to 0."""
    return 1 - done
