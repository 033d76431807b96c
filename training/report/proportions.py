"""Show the pixels that a model reads in the proportions of their photo."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app import vision
from app.bundle import InputSpec
from training.data.photos import Photo


def in_proportion(pixels: NDArray[np.uint8], spec: InputSpec, photo: Photo) -> NDArray[np.uint8]:
    """Return pixels (H, W, 3) as the photo lies in them: not squashed, without grey around it."""
    if spec.fit == "cover":
        return pixels
    _, place = vision.view_of(spec).lay_out((0, 0, photo.width, photo.height))
    side = spec.crop * vision.CANVAS
    low = (vision.CANVAS - side) / 2
    (x, y, across, down), (height, width, _) = place, pixels.shape
    left, right = (np.clip((edge - low) / side, 0, 1) * width for edge in (x, x + across))
    top, bottom = (np.clip((edge - low) / side, 0, 1) * height for edge in (y, y + down))
    longer, most = max(photo.width, photo.height), max(width, height)
    size = max(1, round(most * photo.width / longer)), max(1, round(most * photo.height / longer))
    box = (float(left), float(top), float(right), float(bottom))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, box))
