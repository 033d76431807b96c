"""A filter (kernel) that the user defines, applied to the canvas.

    canvas (480, 480, 3) / 255 -> luminance, or red, green and blue -> map (480-h+1, 480-w+1)

At every position the filter is multiplied by the pixels below it, and the products are summed. As
in convolutional layers, the filter isn't flipped and never extends over the edge.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import BadParameter

LARGEST = 31
"""The largest number of rows, and of columns."""
_LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue; ITU-R BT.601, as in Pillow's greyscale."""
_ROUNDING = 1e-9
"""Results below this share of the sum of the absolute weights are rounding errors, and set to 0."""
_EXAMPLE = (
    "Send rows of numbers, as in [[-1,0,1],[-2,0,2],[-1,0,1]], or three such for red, green, blue."
)


@dataclass(frozen=True, eq=False)
class Kernel:
    """A filter over the canvas."""

    weights: NDArray[np.float64]
    """(1, h, w) for the luminance, (3, h, w) for red, green and blue."""

    @classmethod
    def parse(cls, text: str) -> "Kernel":
        """Read a filter from JSON.

        Raises:
            BadParameter: the text holds no filter; the message names the reason.
        """
        try:
            weights = _array(json.loads(text))
        except (ValueError, TypeError, RecursionError, OverflowError) as err:
            raise BadParameter(f"The kernel is not a JSON array of numbers. {_EXAMPLE}") from err
        if weights.ndim == 2:  # noqa: PLR2004
            weights = weights[np.newaxis]
        if weights.ndim != 3 or weights.shape[0] not in (1, 3):  # noqa: PLR2004
            raise BadParameter(f"The kernel has the shape {list(weights.shape)}. {_EXAMPLE}")
        if not all(1 <= size <= LARGEST for size in weights.shape[1:]):
            height, width = weights.shape[1:]
            raise BadParameter(
                f"The kernel has {height} rows and {width} columns. Send 1 to {LARGEST} of each."
            )
        if not np.isfinite(weights).all() or np.abs(weights).max() > 1e6:  # noqa: PLR2004
            raise BadParameter("The kernel holds a number beyond 1,000,000. Send smaller ones.")
        return cls(weights)


def _array(value: Any) -> NDArray[np.float64]:
    """Return a rectangular array of JSON numbers.

    Raises:
        ValueError, TypeError: it is none; `Kernel.parse` replaces the message.
    """
    flat: list[Any] = [value]
    while any(isinstance(item, list) for item in flat):
        if len(flat) > 3 * LARGEST * LARGEST * 2:
            raise ValueError("too many")
        flat = [inner for item in flat for inner in (item if isinstance(item, list) else [item])]
    if not all(type(item) in (int, float) for item in flat):
        raise TypeError("not a number")
    return np.array(value, np.float64)


def convolve(canvas: NDArray[np.uint8], kernel: Kernel) -> NDArray[np.float32]:
    """Return the map (480-h+1, 480-w+1) of `kernel` over a canvas (480, 480, 3).

    It is computed by Fourier transformation: directly, a 31 x 31 filter of three colours would take
    584 million multiplications.
    """
    planes = np.moveaxis(canvas, -1, 0) / 255.0
    if len(kernel.weights) == 1:
        planes = np.tensordot(_LUMINANCE, planes, axes=1)[np.newaxis]
    size = planes.shape[1:]
    spectrum = np.fft.rfft2(planes) * np.conj(np.fft.rfft2(kernel.weights, size))
    height, width = kernel.weights.shape[1:]
    whole = np.fft.irfft2(spectrum.sum(axis=0), size)
    valid = whole[: size[0] - height + 1, : size[1] - width + 1]
    # where the sum is 0, rounding errors would be drawn as a pattern
    valid[np.abs(valid) < _ROUNDING * np.abs(kernel.weights).sum()] = 0
    return valid.astype(np.float32)
