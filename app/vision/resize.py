"""From the canvas to what a model reads.

canvas (480, 480, 3) -> its centre square of round(crop * 480) pixels -> one filter -> (S, S, 3)

The square is the `box` of the resize, never a copy.
"""

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.vision.picture import CANVAS

FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class ResizeSpec(Protocol):
    """How a canvas becomes a model's input; `app.bundle.InputSpec` is one."""

    @property
    def size(self) -> int:
        """Side of the result, in pixels."""
        ...

    @property
    def crop(self) -> float:
        """Side of the centre square that is kept, as a share of the canvas, over 0 to 1."""
        ...

    @property
    def resample(self) -> Literal["box", "bilinear", "bicubic", "lanczos"]:
        """The filter."""
        ...


def resize(canvas: NDArray[np.uint8] | Image.Image, spec: ResizeSpec) -> NDArray[np.uint8]:
    """Bring a canvas to the size that a model reads.

    The box filter by a whole factor is the mean of each block of pixels, rounded.

    Args:
        canvas: (480, 480, 3) uint8 RGB, as `Picture.canvas`; or `Picture.square`, which is read
            without a copy.
        spec: size, crop and filter; from the bundle.

    Returns:
        (size, size, 3) uint8 RGB, C-contiguous, not to be written to: for size 480 and crop 1 it
        is `canvas` itself.

    Raises:
        ValueError: `canvas` is of another shape or dtype.
    """
    _check(canvas)
    side = round(spec.crop * CANVAS)
    if side == spec.size == CANVAS:
        return np.asarray(canvas)
    image = canvas if isinstance(canvas, Image.Image) else Image.fromarray(canvas)
    factor, rest = divmod(side, spec.size)
    start, half = divmod(CANVAS - side, 2)
    if spec.resample == "box" and not rest and not half:
        resized = image.reduce(factor, (start, start, start + side, start + side))
    else:
        low = (CANVAS - side) / 2
        box = (low, low, low + side, low + side)
        resized = image.resize((spec.size, spec.size), FILTERS[spec.resample], box)
    return np.asarray(resized)


def _check(canvas: NDArray[np.uint8] | Image.Image) -> None:
    if isinstance(canvas, Image.Image):
        kind, shape, right = canvas.mode, (canvas.height, canvas.width, 3), canvas.mode == "RGB"
    else:
        kind, shape, right = str(canvas.dtype), canvas.shape, canvas.dtype == np.uint8
    if not right or shape != (CANVAS, CANVAS, 3):
        raise ValueError(f"a canvas is uint8 ({CANVAS}, {CANVAS}, 3), not {kind} {shape}")
