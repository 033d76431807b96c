"""From a picture, or its canvas, to what a model reads.

canvas (480, 480, 3) -> its centre square of round(crop * 480) pixels -> one filter -> (S, S, 3)

The square is the `box` of the resize, never a copy. A picture that isn't at the canvas yet takes
both resizes as one, which weighs its pixels as they would, and rounds once instead of four times.
"""

from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.vision.colour import to_srgb
from app.vision.fused_resize.banded import Plan, multiply, plan
from app.vision.fused_resize.filter_weights import Resample, after, taps
from app.vision.icc_profile import transform
from app.vision.picture import CANVAS, CANVAS_RESAMPLE, Box, Picture

KEPT_PLANS = 16
"""Plans of resizes that are kept for the next picture of the same size; 0.1 to 0.5 MB each."""


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
    def resample(self) -> Resample:
        """The filter."""
        ...


def resize(
    source: Picture | NDArray[np.uint8] | Image.Image, spec: ResizeSpec
) -> NDArray[np.uint8]:
    """Bring a picture to the size that a model reads.

    The box filter by a whole factor is the mean of each block of pixels, rounded.

    Args:
        source: a picture; or its canvas, (480, 480, 3) uint8 RGB, of NumPy or Pillow. The two
            differ by roundings: by 0.2 of 255 in the mean.
        spec: size, crop and filter; from the bundle.

    Returns:
        (size, size, 3) uint8 RGB, C-contiguous, not to be written to: for size 480 and crop 1 it
        is the canvas itself.

    Raises:
        ValueError: a canvas is of another shape or dtype.
    """
    if not isinstance(source, Picture):
        _check(source)
        return _from_canvas(source, spec)
    if round(spec.crop * CANVAS) == spec.size == CANVAS:
        return source.canvas
    if source.is_canvas:
        resized = _from_canvas(source.image, spec)
    else:
        resized = multiply(source.image, _plan(source.image.size, source.square, spec))
    if transform(source.icc, "RGB") is None:
        return resized
    return np.asarray(to_srgb(Image.fromarray(resized), source.icc))


def _from_canvas(canvas: NDArray[np.uint8] | Image.Image, spec: ResizeSpec) -> NDArray[np.uint8]:
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
        filter = Image.Resampling[spec.resample.upper()]
        resized = image.resize((spec.size, spec.size), filter, box)
    return np.asarray(resized)


def _plan(size: tuple[int, int], square: Box, spec: ResizeSpec) -> Plan:
    return _planned(size, square, round(spec.crop * CANVAS), spec.size, spec.resample)


@lru_cache(maxsize=KEPT_PLANS)
def _planned(
    size: tuple[int, int], square: Box, side: int, outputs: int, resample: Resample
) -> Plan:
    """From an image of `size` (width, height) to the canvas, and on from its centre of `side`."""
    (width, height), (left, top, right, bottom) = size, square
    low = (CANVAS - side) / 2
    on = taps(CANVAS, low, low + side, outputs, resample)
    return plan(
        rows=after(on, taps(height, top, bottom, CANVAS, CANVAS_RESAMPLE)),
        columns=after(on, taps(width, left, right, CANVAS, CANVAS_RESAMPLE)),
    )


def _check(canvas: NDArray[np.uint8] | Image.Image) -> None:
    if isinstance(canvas, Image.Image):
        kind, shape, right = canvas.mode, (canvas.height, canvas.width, 3), canvas.mode == "RGB"
    else:
        kind, shape, right = str(canvas.dtype), canvas.shape, canvas.dtype == np.uint8
    if not right or shape != (CANVAS, CANVAS, 3):
        raise ValueError(f"a canvas is uint8 ({CANVAS}, {CANVAS}, 3), not {kind} {shape}")
