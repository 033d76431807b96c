"""What goes in and what comes out: `Limits`, `Picture`, and the side of the canvas."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CANVAS = 480
"""Side of the square that every picture is brought to, in pixels."""

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
    """A decoded picture."""

    square: Image.Image | NDArray[np.uint8]
    """What `canvas` tells, as Pillow or NumPy holds it: `vision.resize` reads it without a copy."""
    format: Format | Literal["array"]
    """The file's format by its content; `array` where there was no file."""
    width: int
    """Of the whole picture as displayed (EXIF orientation applied), in pixels."""
    height: int
    """Of the whole picture as displayed (EXIF orientation applied), in pixels."""

    @cached_property
    def canvas(self) -> NDArray[np.uint8]:
        """(480, 480, 3) uint8, sRGB in the order R, G, B, 0..255, C-contiguous, not writable."""
        return np.asarray(self.square)
