"""The way from the pixels of a bundle's input to the array that an imported graph reads.

    uint8 RGB (N, H, W, 3) -> grey, for a graph with one channel
                           -> upscaled, for a graph that reads more than the canvas has
                           -> normalised -> layout -> type

`Preparation.applied` does it with NumPy and Pillow, as a reference; `input_nodes` writes the same
as nodes of the graph.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from PIL import Image

from app.bundle import Fit, InputSpec, Resample
from app.vision.canvas import CANVAS
from training.errors import DataUnusable
from training.importing.image_input import GREY, ImageInput, Size, describe
from training.importing.normalization import Normalization

WHITE = 255
MIN_SIDE = 8
"""The shortest side of a bundle's input, in pixels."""


@dataclass(frozen=True)
class Preparation:
    """What is done with the pixels before the imported graph reads them."""

    image: ImageInput
    normalization: Normalization
    spec: InputSpec
    """The input of the bundle."""
    upscaling: Resample
    """The filter from the bundle's input to the graph's, if the graph's is larger."""

    @property
    def is_upscaled(self) -> bool:
        """True if the graph reads more pixels than the bundle's input has."""
        return self.image.size != (self.spec.height, self.spec.width)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what a user wouldn't expect."""
        notes = []
        if self.is_upscaled:
            notes.append(
                f"the model reads {describe(self.image.size)} pixels: the "
                f"{self.spec.describe_size()} that Hubel keeps of a photo are upscaled in the "
                f"graph ({self.upscaling})"
            )
        if self.image.channels == GREY:
            notes.append("the model reads grey pixels: photos are converted in the graph")
        return tuple(notes)

    def applied(self, pixels: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Return pixels (N, H, W, 3) uint8 RGB as the array that the graph reads."""
        prepared = np.stack([self._resized(Image.fromarray(picture)) for picture in pixels])
        ready = self.normalization.applied(prepared)
        if self.image.is_integer:
            ready = np.rint(ready)
        if self.image.layout == "nchw":
            ready = ready.transpose(0, 3, 1, 2)
        if self.image.is_row:
            ready = ready.reshape(len(ready), -1)
        dtype = helper.tensor_dtype_to_np_dtype(self.image.dtype)
        return np.ascontiguousarray(ready.astype(dtype))

    def _resized(self, picture: Image.Image) -> NDArray[np.float64]:
        """Return a picture as float64 (height, width, C) of the graph's input, 0 to 255."""
        if self.image.channels == GREY:
            picture = picture.convert("L")
        height, width = self.image.size
        size = (width, height)
        if picture.size == size:
            return np.asarray(picture, np.float64).reshape(height, width, -1)
        filter = Image.Resampling[self.upscaling.upper()]
        planes = [plane.convert("F").resize(size, filter) for plane in picture.split()]
        stacked = np.stack([np.asarray(plane, np.float64) for plane in planes], axis=-1)
        return np.clip(stacked, 0, WHITE)


def prepare(
    image: ImageInput,
    normalization: Normalization,
    crop: float,
    resample: Resample,
    fit: Fit = "cover",
) -> Preparation:
    """Return the preparation for an input.

    A photo is kept as 480x480 pixels. For a square input that is larger, the bundle's input is the
    kept square as it is, and the graph upscales it. For another one, the bundle's input has the
    same proportions, and no more pixels than are kept on its longer side.

    Raises:
        DataUnusable: the input isn't square, and the fit is cover.
    """
    height, width = image.size
    is_square = height == width
    if fit == "cover" and not is_square:
        raise DataUnusable(
            f"The model reads {describe(image.size)} pixels, which isn't square. Pass --fit "
            "stretch if photos were squashed to that shape in training, or --fit contain if they "
            "were letterboxed."
        )
    size: int | Size = height if is_square else image.size
    if max(image.size) <= CANVAS:
        spec = InputSpec(fit=fit, size=size, crop=crop, resample=resample)
        return Preparation(image, normalization, spec, resample)
    side = 2 * round(crop * CANVAS / 2)  # even, so that no pixel is cut in half
    upscaling: Resample = "bicubic" if resample == "box" else resample
    if is_square:
        spec = InputSpec(fit=fit, size=side, crop=side / CANVAS, resample="box")
        return Preparation(image, normalization, spec, upscaling)
    smaller = round(side * height / max(image.size)), round(side * width / max(image.size))
    if min(smaller) < MIN_SIDE:
        raise DataUnusable(
            f"The model reads {describe(image.size)} pixels, and Hubel would keep "
            f"{describe(smaller)} of a photo; {MIN_SIDE} is the least. Export it for another size."
        )
    spec = InputSpec(fit=fit, size=smaller, crop=side / CANVAS, resample=resample)
    return Preparation(image, normalization, spec, upscaling)
