"""The canvas: the photo's centre square, resized to 480 x 480 pixels.

It defines what models read: the canvas or its centre, resized once more to the model's input. For a
small RGB photo both resizes are computed in one step, without a canvas (`resize`).
"""

from PIL import Image

from app.vision.fused_resize.filter_weights import Resample

CANVAS = 480
"""Side of the canvas, in pixels."""

CANVAS_RESAMPLE: Resample = "bicubic"
"""Filter of the resize from a photo's centre square to the canvas."""

MAX_UNRESIZED_PIXELS = 8 * CANVAS * CANVAS
"""Larger images are resized to the canvas at once: unresized, they would hold memory longer."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge, in pixels; fractions count."""

WHOLE_CANVAS: Box = (0, 0, CANVAS, CANVAS)


def to_canvas(image: Image.Image, square: Box) -> Image.Image:
    """Resize the centre square to 480 x 480; return `image` itself if it is the canvas already."""
    if is_canvas(image, square):
        return image
    return image.resize((CANVAS, CANVAS), Image.Resampling[CANVAS_RESAMPLE.upper()], square)


def is_canvas(image: Image.Image, square: Box) -> bool:
    """Return whether the centre square is the whole image and has the canvas's size."""
    return image.size == (CANVAS, CANVAS) and square == WHOLE_CANVAS
