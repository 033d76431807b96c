"""A decoded photo: `Picture`, and the limits on decoding it: `Limits`."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.vision.canvas import (
    CANVAS,
    CANVAS_RESAMPLE,
    WHOLE_CANVAS,
    Box,
    Place,
    is_on_canvas,
    pad,
    to_canvas,
)
from app.vision.colour import to_srgb
from app.vision.crop import Pixels

MAX_SIDE = 65_535
"""The longest side that JPEG and GIF can have; encoders of WebP allow 16,383."""

Format = Literal["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic"]
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
    """RGB: what the canvas shows, or an image that is yet to be resized to it."""
    box: Box
    """The part of `image` that the canvas shows."""
    icc: bytes | None
    """The colour profile of `image`; None where it is sRGB."""
    format: Format
    """The file's format, by its content."""
    width: int
    """Width of the whole photo as displayed (EXIF orientation applied), in pixels."""
    height: int
    """Height of the whole photo as displayed (EXIF orientation applied), in pixels."""
    place: Place = WHOLE_CANVAS
    """Where the canvas shows it; grey is around."""
    region: Box | None = None
    """The part of the whole photo that the canvas shows; None: its centre square."""
    crop: Pixels | None = None
    """The part of the photo that the request selected; None: the whole."""

    @property
    def is_canvas(self) -> bool:
        """True if `image` is resized to the canvas already."""
        return is_on_canvas(self.image, self.box, self.place)

    @property
    def is_padded(self) -> bool:
        """True if there is grey around the photo on the canvas."""
        return self.place != WHOLE_CANVAS

    @property
    def shown(self) -> Box:
        """The part of the whole photo that the canvas shows, in pixels as displayed."""
        if self.region is not None:
            return self.region
        side = min(self.width, self.height)
        left, top = (self.width - side) / 2, (self.height - side) / 2
        return left, top, left + side, top + side

    def on_photo(self, box: Box) -> Box:
        """Return a part of the canvas as a part of the whole photo, in pixels as displayed.

        Where there is grey around the photo, it reaches beyond the photo.
        """
        (left, top, right, bottom), (x, y, width, height) = self.shown, self.place
        across, down = (right - left) / width, (bottom - top) / height
        return (
            left + (box[0] - x) * across,
            top + (box[1] - y) * down,
            left + (box[2] - x) * across,
            top + (box[3] - y) * down,
        )

    def in_proportion(self, canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a canvas, or a drawing on it, in the proportions of the photo, without the grey.

        The longer side has as many pixels as the canvas; the canvas of a square stays as it is.
        """
        left, top, right, bottom = self.shown
        across, down = right - left, bottom - top
        if across == down and not self.is_padded:
            return canvas
        longer = max(across, down)
        size = max(1, round(CANVAS * across / longer)), max(1, round(CANVAS * down / longer))
        x, y, width, height = self.place
        filter, box = Image.Resampling[CANVAS_RESAMPLE.upper()], (x, y, x + width, y + height)
        return np.asarray(Image.fromarray(canvas).resize(size, filter, box))

    @cached_property
    def canvas(self) -> NDArray[np.uint8]:
        """The canvas: (480, 480, 3) uint8 sRGB, order R, G, B, 0..255, C-contiguous, read-only."""
        shown = to_srgb(to_canvas(self.image, self.box, self.place), self.icc)
        return np.asarray(pad(shown, self.place))
