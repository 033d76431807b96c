"""Turn a decoded image upright, as its EXIF orientation states.

image, part of it, orientation 1..8 -> upright image, the same part of it

This happens before any resize. A resize rounds after each direction. Because images are turned
before it, all eight orientations of a photo give the same canvas, to the bit.
"""

from dataclasses import dataclass

from PIL import Image

from app.vision.canvas import Box


@dataclass(frozen=True)
class _Rotation:
    """A rotation or mirroring: x and y are swapped first, then the axes are mirrored."""

    method: Image.Transpose
    swap: bool
    mirror_x: bool
    mirror_y: bool


_ROTATIONS = {
    2: _Rotation(Image.Transpose.FLIP_LEFT_RIGHT, False, True, False),
    3: _Rotation(Image.Transpose.ROTATE_180, False, True, True),
    4: _Rotation(Image.Transpose.FLIP_TOP_BOTTOM, False, False, True),
    5: _Rotation(Image.Transpose.TRANSPOSE, True, False, False),
    6: _Rotation(Image.Transpose.ROTATE_270, True, True, False),
    7: _Rotation(Image.Transpose.TRANSVERSE, True, True, True),
    8: _Rotation(Image.Transpose.ROTATE_90, True, False, True),
}
"""By EXIF orientation; 1 is upright already."""


def turn_upright(image: Image.Image, box: Box, orientation: int) -> tuple[Image.Image, Box]:
    """Turn the image and a part of it upright."""
    rotation = _ROTATIONS.get(orientation)
    if rotation is None:
        return image, box
    return image.transpose(rotation.method), _turn_box(box, image.size, rotation)


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return the width and height of the upright photo; `size` is as stored in the file."""
    width, height = size
    rotation = _ROTATIONS.get(orientation)
    return (height, width) if rotation is not None and rotation.swap else (width, height)


def _turn_box(box: Box, size: tuple[int, int], rotation: _Rotation) -> Box:
    left, top, right, bottom = box
    width, height = size
    if rotation.swap:
        left, top, right, bottom = top, left, bottom, right
        width, height = height, width
    if rotation.mirror_x:
        left, right = width - right, width - left
    if rotation.mirror_y:
        top, bottom = height - bottom, height - top
    return left, top, right, bottom
