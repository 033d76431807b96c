"""Pixels in a file that is mapped into memory: the pages of photos that are done are given back.

Pages of a mapped file count as the process's memory until the system needs them. Without giving
them back it would seem to grow with the number of photos. Their content stays in the file, and in
the system's cache while there is room.
"""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray


def release(pixels: NDArray[np.uint8]) -> None:
    """Give back the pages of `pixels`, if it is mapped; they are read again when needed."""
    base: Any = pixels
    while base is not None and not isinstance(base, mmap.mmap):
        base = base.base if isinstance(base, np.ndarray) else getattr(base, "obj", None)
    if base is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        base.madvise(mmap.MADV_DONTNEED)
