"""The canvas: the part of a photo that a model reads, resized to 480 x 480 pixels.

It defines what models read: the canvas or its centre, resized once more to the model's input. For a
small RGB photo both resizes are computed in one step, without a canvas (`resize`).
"""

from math import ceil, floor

from PIL import Image

from app.vision.fused_resize.filter_weights import Resample

CANVAS = 480
"""Side of the canvas, in pixels."""

CANVAS_SHAPE = (CANVAS, CANVAS, 3)
"""Height, width and channels of the canvas."""

CANVAS_RESAMPLE: Resample = "bicubic"
"""Filter of the resize from a photo to the canvas."""

MAX_UNRESIZED_PIXELS = 8 * CANVAS * CANVAS
"""Larger images are resized to the canvas at once: unresized, they would hold memory longer."""

MAX_UNRESIZED_SIDE = 8 * CANVAS
"""The same for a part with a longer side: in one step, rows and filter weights grow with it."""

PADDING = 127
"""The grey of the canvas where it shows no photo: 0, once a graph has normalised it."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge, in pixels; fractions count."""
Place = tuple[int, int, int, int]
"""Left and top edge, width and height on the canvas, in pixels."""

WHOLE_CANVAS: Place = (0, 0, CANVAS, CANVAS)


def to_canvas(image: Image.Image, box: Box, place: Place) -> Image.Image:
    """Resize the part `box` to the size of `place`; return `image` itself if it is that already."""
    if is_on_canvas(image, box, place):
        return image
    filter = Image.Resampling[CANVAS_RESAMPLE.upper()]
    size = place[2:]
    left, top, right, bottom = box
    if bottom - top > max(CANVAS, right - left):
        # Pillow begins with the columns, and would enlarge each row of a tall strip.
        first, end = floor(left), min(ceil(right), image.width)
        image = image.resize((end - first, size[1]), filter, (first, top, end, bottom))
        box = (left - first, 0, right - first, size[1])
    return image.resize(size, filter, box)


def is_on_canvas(image: Image.Image, box: Box, place: Place) -> bool:
    """Return whether the part `box` is the whole image and has the size of `place`."""
    return image.size == place[2:] and box == (0, 0, *image.size)


def pad(image: Image.Image, place: Place) -> Image.Image:
    """Return the canvas with an sRGB image of the size of `place` at its place, and grey around."""
    if place == WHOLE_CANVAS:
        return image
    canvas = Image.new("RGB", (CANVAS, CANVAS), (PADDING,) * 3)
    canvas.paste(image, place[:2])
    return canvas
