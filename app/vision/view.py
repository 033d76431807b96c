"""The part of a photo that a model reads, and its place on the canvas.

    cover     the centre square of the photo  -> the whole canvas
    stretch   the whole photo, squashed       -> the whole canvas
    contain   the whole photo, in proportion  -> the middle of the canvas; the rest is grey

A request's crop takes the place of the whole photo.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from app.vision.canvas import CANVAS, WHOLE_CANVAS, Box, Place
from app.vision.crop import Crop

Fit = Literal["cover", "stretch", "contain"]
"""How a photo that isn't as wide as high becomes the canvas."""


@dataclass(frozen=True, slots=True)
class View:
    """The part of a photo that a model reads."""

    fit: Fit = "cover"
    aspect: float = 1.0
    """Width of the model's input, divided by its height. With `contain`, proportions are right in
    the input; the canvas is square, whatever the input."""
    crop: Crop | None = None
    """The part of the photo that takes the place of the whole; None: the whole photo."""

    def lay_out(self, photo: Box) -> tuple[Box, Place]:
        """Return the part of the box `photo` that is resized, and its place on the canvas."""
        left, top, right, bottom = photo
        width, height = right - left, bottom - top
        if self.fit == "cover":
            side = min(width, height)
            left, top = left + (width - side) / 2, top + (height - side) / 2
            return (left, top, left + side, top + side), WHOLE_CANVAS
        if self.fit == "stretch":
            return photo, WHOLE_CANVAS
        across = max(1, round(CANVAS * min(1.0, width / (height * self.aspect))))
        down = max(1, round(CANVAS * min(1.0, height * self.aspect / width)))
        return photo, ((CANVAS - across) // 2, (CANVAS - down) // 2, across, down)


class FitSpec(Protocol):
    """The parts of a model's input that say what it reads; `app.bundle.InputSpec` has them."""

    @property
    def fit(self) -> Fit:
        """How a photo becomes the canvas."""
        ...

    @property
    def height(self) -> int:
        """Height of the input, in pixels."""
        ...

    @property
    def width(self) -> int:
        """Width of the input, in pixels."""
        ...


def view_of(spec: FitSpec, crop: Crop | None = None) -> View:
    """Return the view of a photo, or of a part of it, that a model with this input reads."""
    if spec.fit == "cover" and crop is None:
        return CENTRE_SQUARE
    return View(spec.fit, spec.width / spec.height, crop)


CENTRE_SQUARE = View()
"""The part that models read unless their bundle says otherwise."""
