"""Resize a decoded photo, or its canvas, to a model's input.

canvas (480, 480, 3) -> its centre square of round(crop * 480) pixels -> one filter -> (S, S, 3)

The square is the `box` of the resize, never a copy. An image that is not resized to the canvas
yet takes both resizes as one matrix product (`fused_resize`). The weights of its pixels are the
same, and the result is rounded once instead of four times.
"""

from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.vision.canvas import CANVAS, CANVAS_RESAMPLE, Box
from app.vision.colour import to_srgb
from app.vision.fused_resize.filter_weights import Resample, compose, make_filter_weights
from app.vision.fused_resize.resize_plan import ResizePlan, apply_plan, plan_resize
from app.vision.icc_profile import srgb_transform
from app.vision.picture import Picture

CACHED_PLANS = 16
"""Plans that are cached for the next photo of the same size; 0.1 to 0.5 MB each."""


class ResizeSpec(Protocol):
    """The resize from a canvas to a model's input; `app.bundle.InputSpec` implements it."""

    @property
    def size(self) -> int:
        """Side of the result, in pixels."""
        ...

    @property
    def crop(self) -> float:
        """Side of the kept centre square, as a share of the canvas: greater than 0, at most 1."""
        ...

    @property
    def resample(self) -> Resample:
        """The filter."""
        ...


def resize(
    source: Picture | NDArray[np.uint8] | Image.Image, spec: ResizeSpec
) -> NDArray[np.uint8]:
    """Resize a photo to a model's input.

    The box filter by a whole factor is the mean of each block of pixels, rounded.

    Args:
        source: a decoded photo; or its canvas, (480, 480, 3) uint8 RGB, of NumPy or Pillow. The
            results differ by rounding: by 0.2 of 255 in the mean.
        spec: size, crop and filter, from the bundle.

    Returns:
        (size, size, 3) uint8 RGB, C-contiguous. Don't write to it: for size 480 and crop 1 it is
        the canvas itself.

    Raises:
        ValueError: a canvas has another shape or dtype.
    """
    if not isinstance(source, Picture):
        _check_canvas(source)
        return _resize_canvas(source, spec)
    if round(spec.crop * CANVAS) == spec.size == CANVAS:
        return source.canvas
    if source.is_canvas:
        resized = _resize_canvas(source.image, spec)
    else:
        resized = _resize_image(source.image, source.square, spec)
    if srgb_transform(source.icc, "RGB") is None:
        return resized
    return np.asarray(to_srgb(Image.fromarray(resized), source.icc))


def _resize_canvas(canvas: NDArray[np.uint8] | Image.Image, spec: ResizeSpec) -> NDArray[np.uint8]:
    side = round(spec.crop * CANVAS)
    if side == spec.size == CANVAS:
        return np.asarray(canvas)
    image = canvas if isinstance(canvas, Image.Image) else Image.fromarray(canvas)
    factor, remainder = divmod(side, spec.size)
    start, half_pixel = divmod(CANVAS - side, 2)
    if spec.resample == "box" and not remainder and not half_pixel:
        resized = image.reduce(factor, (start, start, start + side, start + side))
    else:
        low = (CANVAS - side) / 2
        box = (low, low, low + side, low + side)
        filter = Image.Resampling[spec.resample.upper()]
        resized = image.resize((spec.size, spec.size), filter, box)
    return np.asarray(resized)


def _resize_image(image: Image.Image, square: Box, spec: ResizeSpec) -> NDArray[np.uint8]:
    side = round(spec.crop * CANVAS)
    return apply_plan(_plan(image.size, square, side, spec.size, spec.resample), image)


@lru_cache(maxsize=CACHED_PLANS)
def _plan(
    size: tuple[int, int], square: Box, side: int, outputs: int, resample: Resample
) -> ResizePlan:
    """Plan both resizes of an image of `size` (width, height) as one.

    The first brings `square` to the canvas, the second the canvas's centre of `side` pixels to
    `outputs` pixels.
    """
    (width, height), (left, top, right, bottom) = size, square
    low = (CANVAS - side) / 2
    from_canvas = make_filter_weights(CANVAS, low, low + side, outputs, resample)
    rows_to_canvas = make_filter_weights(height, top, bottom, CANVAS, CANVAS_RESAMPLE)
    columns_to_canvas = make_filter_weights(width, left, right, CANVAS, CANVAS_RESAMPLE)
    return plan_resize(
        rows=compose(rows_to_canvas, from_canvas), columns=compose(columns_to_canvas, from_canvas)
    )


def _check_canvas(canvas: NDArray[np.uint8] | Image.Image) -> None:
    if isinstance(canvas, Image.Image):
        kind, shape, is_valid = canvas.mode, (canvas.height, canvas.width, 3), canvas.mode == "RGB"
    else:
        kind, shape, is_valid = str(canvas.dtype), canvas.shape, canvas.dtype == np.uint8
    if not is_valid or shape != (CANVAS, CANVAS, 3):
        raise ValueError(f"a canvas is uint8 ({CANVAS}, {CANVAS}, 3), not {kind} {shape}")
