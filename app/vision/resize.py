"""Resize a decoded photo, or its canvas, to a model's input.

canvas (480, 480, 3) -> its centre square of round(crop * 480) pixels -> one filter -> (H, W, 3)

The square is the `box` of the resize, never a copy. An image that is not resized to the canvas
yet takes both resizes as one matrix product (`fused_resize`). The weights of its pixels are the
same, and the result is rounded once instead of four times. Where the canvas shows grey around the
photo, only the outputs that read a pixel of the photo are computed.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.vision.canvas import CANVAS, CANVAS_RESAMPLE, PADDING, WHOLE_CANVAS, Box, Place
from app.vision.colour import to_srgb
from app.vision.fused_resize.filter_weights import (
    Resample,
    compose,
    make_filter_weights,
    pad_outputs,
    trim_outputs,
)
from app.vision.fused_resize.resize_plan import ResizePlan, apply_plan, plan_resize
from app.vision.icc_profile import srgb_transform
from app.vision.picture import Picture

CACHED_PLANS = 16
"""Plans that are cached for the next photo of the same size; 0.1 to 0.5 MB each."""


class ResizeSpec(Protocol):
    """The resize from a canvas to a model's input; `app.bundle.InputSpec` implements it."""

    @property
    def height(self) -> int:
        """Height of the result, in pixels."""
        ...

    @property
    def width(self) -> int:
        """Width of the result, in pixels."""
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
        (height, width, 3) uint8 RGB, C-contiguous. Don't write to it: for size 480 and crop 1 it
        is the canvas itself.

    Raises:
        ValueError: a canvas has another shape or dtype.
    """
    if not isinstance(source, Picture):
        _check_canvas(source)
        return _resize_canvas(source, spec)
    if _is_canvas(spec):
        return source.canvas
    is_srgb = srgb_transform(source.icc, "RGB") is None
    if source.is_padded and (source.is_canvas or not is_srgb):
        return _resize_canvas(source.canvas, spec)  # the grey is sRGB
    if source.is_canvas:
        resized = _resize_canvas(source.image, spec)
    else:
        resized = _resize_image(source.image, source.box, source.place, spec)
    return resized if is_srgb else np.asarray(to_srgb(Image.fromarray(resized), source.icc))


def _is_canvas(spec: ResizeSpec) -> bool:
    return round(spec.crop * CANVAS) == CANVAS and spec.height == spec.width == CANVAS


def _resize_canvas(canvas: NDArray[np.uint8] | Image.Image, spec: ResizeSpec) -> NDArray[np.uint8]:
    if _is_canvas(spec):
        return np.asarray(canvas)
    side = round(spec.crop * CANVAS)
    height, width = spec.height, spec.width
    image = canvas if isinstance(canvas, Image.Image) else Image.fromarray(canvas)
    down, rows_left = divmod(side, height)
    across, columns_left = divmod(side, width)
    start, half_pixel = divmod(CANVAS - side, 2)
    if spec.resample == "box" and not (rows_left or columns_left or half_pixel):
        resized = image.reduce((across, down), (start, start, start + side, start + side))
    else:
        low = (CANVAS - side) / 2
        box = (low, low, low + side, low + side)
        filter = Image.Resampling[spec.resample.upper()]
        resized = image.resize((width, height), filter, box)
    return np.asarray(resized)


def _resize_image(
    image: Image.Image, box: Box, place: Place, spec: ResizeSpec
) -> NDArray[np.uint8]:
    side, size = round(spec.crop * CANVAS), (spec.height, spec.width)
    plan = _plan(image.size, box, place, side, size, spec.resample)
    resized = apply_plan(plan.photo, image)
    if place == WHOLE_CANVAS:
        return resized
    padded = np.full((*size, 3), PADDING, np.uint8)
    bottom, right = plan.top + plan.photo.height, plan.left + plan.photo.width
    padded[plan.top : bottom, plan.left : right] = resized
    return padded


@dataclass(frozen=True, eq=False)
class _Plan:
    """The outputs that read a pixel of the photo, and their place among all; the rest is grey."""

    photo: ResizePlan
    top: int = 0
    left: int = 0


@lru_cache(maxsize=CACHED_PLANS)
def _plan(
    image_size: tuple[int, int],
    box: Box,
    place: Place,
    side: int,
    size: tuple[int, int],
    resample: Resample,
) -> _Plan:
    """Plan both resizes of an image of `image_size` (width, height) as one.

    The first brings `box` to its place on the canvas, the second the canvas's centre of `side`
    pixels to `size` (height, width).
    """
    (image_width, image_height), (left, top, right, bottom) = image_size, box
    x, y, width, height = place
    rows = make_filter_weights(image_height, top, bottom, height, CANVAS_RESAMPLE)
    columns = make_filter_weights(image_width, left, right, width, CANVAS_RESAMPLE)
    low = (CANVAS - side) / 2
    rows_on, columns_on = (
        make_filter_weights(CANVAS, low, low + side, outputs, resample) for outputs in size
    )
    if place == WHOLE_CANVAS:
        return _Plan(plan_resize(compose(rows, rows_on), compose(columns, columns_on)))
    first_row, rows = trim_outputs(compose(pad_outputs(rows, y, CANVAS), rows_on))
    first_column, columns = trim_outputs(compose(pad_outputs(columns, x, CANVAS), columns_on))
    # What the weights lack to 1 is the share of grey that an output shows.
    photo_share = np.outer(rows.weights.sum(axis=1), columns.weights.sum(axis=1))
    grey = (PADDING * (1 - photo_share)).astype(np.float32)
    return _Plan(plan_resize(rows, columns, grey), first_row, first_column)


def _check_canvas(canvas: NDArray[np.uint8] | Image.Image) -> None:
    if isinstance(canvas, Image.Image):
        kind, shape, is_valid = canvas.mode, (canvas.height, canvas.width, 3), canvas.mode == "RGB"
    else:
        kind, shape, is_valid = str(canvas.dtype), canvas.shape, canvas.dtype == np.uint8
    if not is_valid or shape != (CANVAS, CANVAS, 3):
        raise ValueError(f"a canvas is uint8 ({CANVAS}, {CANVAS}, 3), not {kind} {shape}")
