"""Round samples of 16 bits to 8: to the nearest level, not the one below.

65535 / 255 = 257, so a sample v becomes round(v / 257). The upper byte alone, which Pillow and
libpng take, is up to one level too dark.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BLOCK_PIXELS = 1 << 15
"""Pixels that are converted at a time, so that intermediate arrays stay small."""


def block_rows(width: int) -> int:
    """Return how many rows of a picture are converted at a time."""
    return max(1, _BLOCK_PIXELS // max(1, width))


def rows_of(image: Image.Image, top: int, count: int) -> NDArray[np.uint16]:
    """Return up to `count` rows of an image of mode I;16: (rows, width) uint16."""
    bottom = min(top + count, image.height)
    return np.asarray(image.crop((0, top, image.width, bottom)))


def to_8_bits(samples: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return round(samples / 257), of the same shape."""
    return ((samples * np.uint32(255) + np.uint32(32895)) >> np.uint32(16)).astype(np.uint8)


def unpremultiply(colours: NDArray[np.uint16], alpha: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Divide colours, (…, C), by the alpha that they were multiplied with, (…, 1)."""
    shares = np.maximum(alpha, 1).astype(np.uint64)
    quotients = (colours * np.uint64(65535) + shares // np.uint64(2)) // shares
    return np.minimum(quotients, np.uint64(65535)).astype(np.uint16)
