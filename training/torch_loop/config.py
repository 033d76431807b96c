"""What `training.torch_loop.fit` works with: how to train, on what, and what an epoch came to."""

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
    """How a network is trained."""

    epochs: int
    batch: int
    """Photos a step."""
    micro_batch: int
    """Photos that go through the network at once; their gradients add up to the batch's."""
    label_smoothing: float
    optimizers: Callable[[nn.Module], Sequence[Optimizer]]
    schedule: Callable[[float], float]
    """The share of training that is done, 0 to 1 -> what rates are multiplied by."""
    augment: Augment
    side: Callable[[float], int] | None = None
    """The share of training that is done -> side in pixels of what the network sees; None: as
    `augment` gives it."""
    ema_epochs: float | None = None
    """Epochs over which weights are averaged (an exponential moving average); None: they aren't."""
    patience: int | None = None
    """Epochs without an improvement on val after which training ends, with the best weights; None:
    all are trained, and the last weights count."""


@dataclass(frozen=True, eq=False)
class TrainValPhotos:
    """What is learnt from, and what is judged by; pixels stay on disk until they are used."""

    training_data: TrainingData
    train: NDArray[np.intp]
    """Indices of the photos to learn from."""
    val: NDArray[np.intp]
    """Indices of those to judge by."""
    weights: Tensor
    """(K,) how much a photo of each class counts in the loss."""

    def train_batch(self, part: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (M, S', S', 3) uint8 and classes (M,) of some of `train`."""
        selected, examples = self.train[part.numpy()], self.training_data.examples
        pixels = torch.from_numpy(self.training_data.augmentation_input[examples.rows[selected]])
        return pixels, torch.from_numpy(examples.truth[selected])

    def val_batch(self, start: int, stop: int) -> Tensor:
        """Pixels (M, S, S, 3) uint8 of some of `val`."""
        rows = self.training_data.examples.rows[self.val[start:stop]]
        return torch.from_numpy(self.training_data.pixels[rows])


@dataclass(frozen=True)
class EpochResult:
    """What one epoch came to."""

    number: int
    loss: float
    val_loss: float
    """Negative log-likelihood, with the temperature that suits it best."""
    val_accuracy: float
    rate: float
    """What rates were multiplied by at its end."""


def cosine(done: float, warm_up: float = 0.1) -> float:
    """A linear rise, then half a cosine down to 0 (Loshchilov and Hutter 2017, SGDR)."""
    if done < warm_up:
        return done / warm_up
    return (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up))) / 2


def linear(done: float) -> float:
    """Straight down to 0."""
    return 1 - done
