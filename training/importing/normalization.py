"""The normalisation of pixels that a graph expects."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Normalization:
    """The normalisation that the graph expects: (pixel / 255 * pixel_range - mean) / std."""

    mean: Triple
    std: Triple
    pixel_range: Literal[1, 255]
    """The value of white, in the scale of mean and std."""
    channels: Literal["rgb", "bgr"] = "rgb"
    """The order of channels that the graph reads, and of mean and std."""

    @property
    def is_identity(self) -> bool:
        """True if the graph reads pixels of 0 to 255 as they are."""
        return self.pixel_range == 255 and set(self.mean) == {0} and set(self.std) == {1}  # noqa: PLR2004

    def applied(self, pixels: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return pixels (…, C), 0 to 255, as the graph reads them; C is 3, or 1 for grey."""
        count = pixels.shape[-1]
        ordered = pixels if self.channels == "rgb" else pixels[..., ::-1]
        scaled = ordered.astype(np.float64) * (self.pixel_range / 255)
        return np.asarray((scaled - np.array(self.mean)[:count]) / np.array(self.std)[:count])


PIXELS_AS_THEY_ARE = Normalization((0, 0, 0), (1, 1, 1), 255)
