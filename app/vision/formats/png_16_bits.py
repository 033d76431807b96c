"""Decode the pixels of a PNG with 16 bits a sample, at full precision.

Pillow keeps only the upper byte of colours and alpha. So the file is decoded once more, in another
way:

    grey          as it is, I;16
    grey, alpha   again, as RGBA of 8 bits: the bytes of both samples, in their order
    RGB, RGBA     again, in the other byte order, which gives the lower bytes

rows of upper and lower bytes -> (rows, width, samples) uint16 -> transparent colour -> 8 bits
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.vision.formats.sixteen_bits import block_rows, to_8_bits

_RAW_MODES = {"LA": "RGBA", "RGB": "RGB;16L", "RGBA": "RGBA;16L"}
"""The raw mode of the second image, by the mode of the file's samples."""


def decode_16_bits(
    first: Image.Image, load: Callable[[str], Image.Image], mode: str, key: Any
) -> Image.Image:
    """Return the image, of 8 bits.

    Args:
        first: the file as Pillow decodes it.
        load: decodes the file again, in a raw mode of Pillow.
        mode: of the file's samples: L, LA, RGB or RGBA.
        key: the transparent colour: a number, or one for each of R, G and B; None if there is none.

    Returns:
        An image of `mode`, with alpha if there is a key.
    """
    images = [first]
    if mode in _RAW_MODES:
        images.append(load(_RAW_MODES[mode]))
    width, height = images[0].size
    result = Image.new(mode if key is None else mode + "A", (width, height))
    for top, samples in _blocks(images, mode):
        levels = to_8_bits(samples)
        if key is not None:
            is_opaque = (samples != np.asarray(key, np.uint16)).any(axis=-1, keepdims=True)
            levels = np.concatenate([levels, is_opaque * np.uint8(255)], axis=-1)
        size = width, len(levels)
        result.paste(Image.frombytes(result.mode, size, levels.tobytes()), (0, top))
    return result


def images_in_memory(mode: str) -> int:
    """Return how many images of the file a result of `mode` is made from."""
    return 1 + (mode in _RAW_MODES)


def block_bytes(mode: str, size: tuple[int, int]) -> int:
    """Return the bytes of the arrays for the rows that are converted at a time."""
    return 19 * len(mode) * size[0] * min(block_rows(size[0]), size[1])


def _blocks(images: list[Image.Image], mode: str) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    """Yield the first row of each block, and its samples (rows, width, samples)."""
    width, height = images[0].size
    step = block_rows(width)
    for top in range(0, height, step):
        box = 0, top, width, min(top + step, height)
        upper, *lower = (np.asarray(image.crop(box)) for image in images)
        if mode == "L":
            yield top, upper[..., None]
        elif mode == "LA":
            yield top, lower[0][..., 0::2] * np.uint16(256) + lower[0][..., 1::2]
        else:
            yield top, upper * np.uint16(256) + lower[0]
