"""The results of inspection: numbers, and the pictures that are drawn from them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.runtime.classifier import Stages
from app.runtime.inspection import drawing
from app.runtime.inspection.drawing import Grid
from app.runtime.inspection.layers import Layer
from app.runtime.inspection.prepared_photo import PreparedPhoto

Method = Literal["class_activation_map", "occlusion"]


@dataclass(frozen=True, eq=False)
class Embedding:
    """The embedding of a photo: the vector that the last layer reads."""

    prepared_photo: PreparedPhoto
    stages: Stages
    vector: NDArray[np.float32]
    """(D,)."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """A map of how much each part of a photo contributes to a label."""

    prepared_photo: PreparedPhoto
    stages: Stages
    label: int
    probabilities: NDArray[np.float32]
    """(K,)."""
    method: Method
    map: NDArray[np.float32]
    """(h, w) over the centre of the canvas, which the model reads."""
    bias: float | None = None
    """The label's bias in the centred head: its logit is the mean of the map plus this. None for
    occlusion."""
    temperature: float | None = None
    """The divisor of the logits; None for occlusion."""

    def overlay(self, crop: float) -> bytes:
        """Return a PNG of what the canvas shows, overlaid with the positive part of the map.

        It has the proportions of the photo, and no grey around it.
        """
        side = round(crop * vision.CANVAS)
        picture = self.prepared_photo.picture
        overlaid = drawing.overlay(picture.canvas, self.map, side)
        return drawing.png(picture.in_proportion(overlaid))

    def box(self, crop: float) -> vision.Box:
        """Return the part of the whole photo that the map covers, in pixels as displayed."""
        low, high = (vision.CANVAS * (1 + sign * crop) / 2 for sign in (-1, 1))
        return self.prepared_photo.picture.on_photo((low, low, high, high))


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps of a layer, of the canvas or of a user-defined filter for a photo."""

    prepared_photo: PreparedPhoto
    stages: Stages
    layer: Layer
    channels: tuple[int, ...]
    """The indices of the layer's channels, in order or with the most active first."""
    values: NDArray[np.float32]
    """(channels, h, w), or (channels,) of a vector."""
    scale: tuple[float, float]
    """The values that are drawn darkest and brightest."""
    png: bytes
    """The picture."""
    grid: Grid
    """The positions of the maps in the picture."""
