"""What can be asked about the inside, answered: numbers, and the pictures that they make."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.runtime.classifier import Stages
from app.runtime.inspection import pictures
from app.runtime.inspection.layers import Layer
from app.runtime.inspection.pictures import Grid
from app.runtime.inspection.prepared_photo import PreparedPhoto

Method = Literal["class_activation_map", "occlusion"]


@dataclass(frozen=True, eq=False)
class Embedding:
    """The vector that the last layer reads."""

    prepared: PreparedPhoto
    stages: Stages
    vector: NDArray[np.float32]
    """(D,)."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where a label comes from."""

    prepared: PreparedPhoto
    stages: Stages
    label: int
    probabilities: NDArray[np.float32]
    """(K,)."""
    method: Method
    map: NDArray[np.float32]
    """(h, w) over the centre square of the canvas that the model reads."""
    bias: float | None = None
    """What the label's logit has beside the mean of the map; None for occlusion."""
    temperature: float | None = None
    """What the logits are divided by; None for occlusion."""

    def overlay(self, crop: float) -> bytes:
        """PNG of the canvas, with the map where it speaks for the label."""
        side = round(crop * vision.CANVAS)
        return pictures.png(pictures.overlay(self.prepared.canvas, self.map, side))


@dataclass(frozen=True, eq=False)
class Maps:
    """What a layer made of a photo; the canvas and a filter of the user's own count as layers."""

    prepared: PreparedPhoto
    stages: Stages
    layer: Layer
    channels: tuple[int, ...]
    """Which of the layer's; in their order, or the most active first."""
    values: NDArray[np.float32]
    """(channels, h, w), or (channels,) of a vector."""
    scale: tuple[float, float]
    """The values that are drawn darkest and brightest."""
    png: bytes
    """The picture."""
    grid: Grid
    """Where in the picture each map lies."""
