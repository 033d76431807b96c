"""Decode a TIFF by Pillow's libtiff, without Pillow's plugin."""

import ctypes
from functools import cache
from pathlib import Path

import PIL
from PIL import Image


def decode_by_libtiff(
    mode: str, size: tuple[int, int], data: bytes, raw_mode: str, offset: int
) -> Image.Image:
    """Decode the picture of one directory.

    Args:
        mode: of the result.
        size: width and height, as the directory states them.
        data: the file.
        raw_mode: how Pillow unpacks libtiff's rows.
        offset: of the directory.

    Raises:
        ValueError: the file is broken.
    """
    _silence()
    return Image.frombytes(mode, size, data, "libtiff", raw_mode, False, offset)


@cache
def _silence() -> None:
    """Stop libtiff from printing an error of every broken file to stderr, beside the log.

    It has no effect where Pillow's libtiff is not the one of its wheel.
    """
    package = Path(PIL.__file__).parent
    for folder in (package.with_name("pillow.libs"), package / ".dylibs"):
        for file in folder.glob("libtiff*"):
            ctypes.CDLL(str(file)).TIFFSetErrorHandler(None)
