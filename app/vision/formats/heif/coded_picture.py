"""The size and depth that an item's coded data announce, which `av1` and `hevc` read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

MAX_FRAMES = 8
"""Decoders keep up to eight frames and more; a layered picture has up to four."""
_BLOCK = 128
"""Decoders round both sides of a frame up to whole blocks of up to that many pixels."""


@dataclass(frozen=True)
class CodedPicture:
    """The largest frame of an item, and how many it has."""

    size: tuple[int, int]
    """Width and height, in pixels."""
    bytes_per_pixel: float
    """Of all planes of a decoded frame, and of a second frame for film grain."""
    frames: int


def largest_picture(pictures: Sequence[tuple[tuple[int, int], float]], frames: int) -> CodedPicture:
    """Return a picture that is as large as the largest of an item, with all of its frames.

    Args:
        pictures: width and height, and bytes per pixel, of each coded sequence; at least one.
        frames: number of frames of the item; 0 counts as one.
    """
    width, height = (max(sides) for sides in zip(*(size for size, _ in pictures), strict=True))
    return CodedPicture((width, height), max(each for _, each in pictures), max(frames, 1))


def decoder_bytes(pictures: Sequence[CodedPicture], beside: float) -> int:
    """Return the memory of decoding all pictures of a file.

    Args:
        pictures: of all items.
        beside: bytes per pixel that the decoder keeps beside the planes.
    """
    return int(
        sum(
            math.prod(-(-side // _BLOCK) * _BLOCK for side in each.size)
            * (each.bytes_per_pixel * each.frames + beside)
            for each in pictures
        )
    )


def all_pixels(pictures: Sequence[CodedPicture]) -> int:
    """Return the pixels of all frames."""
    return sum(math.prod(each.size) * each.frames for each in pictures)
