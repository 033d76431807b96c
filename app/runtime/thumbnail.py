"""A small JPEG of a photo, for lists of photos: the whole photo, upright, in sRGB."""

import io

from PIL import Image

from app import vision
from app.runtime.classifier import decode
from app.runtime.engine import Turn
from app.vision.colour import to_srgb

MIN_SIDE, MAX_SIDE = 32, vision.CANVAS
"""Sides of a thumbnail. The largest is the canvas's: JPEGs are decoded no smaller than that."""
_QUALITY = 82
_REDUCING_GAP = 2.0
"""Large images are first shrunk by whole numbers, down to so many times the thumbnail's size."""


def thumbnail(photo: bytes, side: int, limits: vision.Limits, turn: Turn) -> bytes:
    """Return a JPEG of a photo.

    Args:
        photo: the file.
        side: pixels of its longer side; a smaller photo isn't enlarged.
        limits: the largest photo that is decoded.
        turn: the photo's turn on a thread of the engine.

    Raises:
        InputError: the photo can't be decoded.
        CapacityError: the result is too late, or its client has left.
    """
    picture = decode(photo, limits, turn, vision.View("contain"))
    turn.check("resize")
    scale = min(1.0, side / max(picture.width, picture.height))
    size = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
    small = picture.image.resize(
        size, Image.Resampling.BILINEAR, picture.box, reducing_gap=_REDUCING_GAP
    )
    file = io.BytesIO()
    to_srgb(small, picture.icc).save(file, "jpeg", quality=_QUALITY)
    return file.getvalue()
