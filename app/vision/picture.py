"""What goes in and what comes out: `Limits`, `Picture`, and the canvas."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.vision.colour import to_srgb
from app.vision.fused_resize.filter_weights import Resample

CANVAS = 480
"""Side of the square that every picture is brought to, in pixels."""

CANVAS_RESAMPLE: Resample = "bicubic"
"""Filter of the resize from a picture's centre square to the canvas."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge, in pixels; fractions count."""

Format = Literal["jpeg", "png", "webp", "gif", "bmp"]
"""What is read."""


@dataclass(frozen=True)
class Limits:
    """What a picture may cost; both are checked before any pixel is decoded."""

    max_bytes: int
    """Largest file, in bytes."""
    max_pixels: int
    """Largest width times height that a header may announce."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright."""

    image: Image.Image
    """RGB: the canvas, or what is yet to be brought to it."""
    square: Box
    """Its centre square, which becomes the canvas."""
    icc: bytes | None
    """The profile that `image` is yet to be brought to sRGB from."""
    format: Format
    """The file's, by its content."""
    width: int
    """Of the whole picture as displayed (EXIF orientation applied), in pixels."""
    height: int
    """Of the whole picture as displayed (EXIF orientation applied), in pixels."""

    @property
    def is_canvas(self) -> bool:
        """Whether `image` has the canvas's size."""
        return _is_canvas(self.image, self.square)

    @cached_property
    def canvas(self) -> NDArray[np.uint8]:
        """(480, 480, 3) uint8, sRGB in the order R, G, B, 0..255, C-contiguous, not writable."""
        return np.asarray(to_srgb(to_canvas(self.image, self.square), self.icc))


def to_canvas(image: Image.Image, square: Box) -> Image.Image:
    """The centre square at 480 x 480; `image` itself where it is that already."""
    if _is_canvas(image, square):
        return image
    return image.resize((CANVAS, CANVAS), Image.Resampling[CANVAS_RESAMPLE.upper()], square)


def _is_canvas(image: Image.Image, square: Box) -> bool:
    return image.size == (CANVAS, CANVAS) and square == (0, 0, CANVAS, CANVAS)
