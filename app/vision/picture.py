"""A decoded photo: `Picture`, and the limits on decoding it: `Limits`."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.vision.canvas import Box, is_canvas, to_canvas
from app.vision.colour import to_srgb

MAX_SIDE = 65_535
"""The longest side that JPEG and GIF can have; encoders of WebP allow 16,383."""

Format = Literal["jpeg", "png", "webp", "gif", "bmp"]
"""The formats that are read."""


@dataclass(frozen=True)
class Limits:
    """Limits on the cost of a photo; all are checked before any pixel is decoded."""

    max_bytes: int
    """Largest file, in bytes."""
    max_pixels: int
    """Largest width times height that a header may announce."""
    max_side: int = MAX_SIDE
    """Largest width or height that a header may announce."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded photo, upright; not yet resized if it is small and RGB."""

    image: Image.Image
    """RGB: the canvas, or an image that is yet to be resized to it."""
    square: Box
    """The centre square of `image`, which becomes the canvas."""
    icc: bytes | None
    """The colour profile of `image`; None where it is sRGB."""
    format: Format
    """The file's format, by its content."""
    width: int
    """Width of the whole photo as displayed (EXIF orientation applied), in pixels."""
    height: int
    """Height of the whole photo as displayed (EXIF orientation applied), in pixels."""

    @property
    def is_canvas(self) -> bool:
        """True if `image` is resized to the canvas already."""
        return is_canvas(self.image, self.square)

    @cached_property
    def canvas(self) -> NDArray[np.uint8]:
        """The canvas: (480, 480, 3) uint8 sRGB, order R, G, B, 0..255, C-contiguous, read-only."""
        return np.asarray(to_srgb(to_canvas(self.image, self.square), self.icc))
