"""The work that decoding a photo takes, estimated from its header.

what a format's reader knows (mode, size, its own peak) -> `estimate` -> `Work`
    of the centre square -> `of_views` -> of the parts that a request or a model reads

Memory is a worst case, in the terms of the steps that use it:

    load      the reader's own peak: decoder, file's pixels, conversion to 8 bits
    turn      the pixels twice
    crop      the pixels, and those of the part
    canvas    the pixels, a premultiplied copy if they have alpha, rows of the canvas's width
    no canvas the pixels, their bytes in NumPy, the same as floats (fused_resize)

`benchmarks/hardening/decode_memory.py` compares both estimates with what is measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.vision.canvas import CANVAS, MAX_UNRESIZED_PIXELS, MAX_UNRESIZED_SIDE
from app.vision.view import CENTRE_SQUARE, View

Size = tuple[int, int]
"""Width and height, in pixels."""

_BYTES_PER_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2}
"""Bytes that Pillow keeps per pixel; 4 in every mode that isn't listed."""
_ALPHA_MODES = ("LA", "RGBA")
_ROW_POINTER_BYTES = 8
_WEIGHT_BYTES = 32
"""Of Pillow's filter weights, for each pixel of a side: four outputs read it, in doubles."""
_FIXED_BYTES = 7_000_000
"""Everything that does not depend on the size: the canvas in several modes, filter weights,
buffers of the decoders."""
_LEFT_BYTES = 8 << 20
"""At most so much of a reader's own memory counts in the later steps, too: smaller blocks than this
stay in the process's heap when they are freed (`app.runtime.host.return_large_blocks`)."""
_ALPHA_COST = 2.5
"""Of flattening the canvas onto white."""
_COST_PER_ROW = 15e-6
"""Pillow handles each row on its own; noticed only where rows are short."""


@dataclass(frozen=True, slots=True)
class Work:
    """An estimate of memory and time, made before any pixel is decoded."""

    memory_bytes: int
    """The most memory in use at one time, from the header to the resized pixels: a worst case of
    this format, mode and size. The bytes of the file itself are not included."""
    cost: float
    """Expected CPU time of decoding and resizing, as a multiple of that of a plain JPEG of
    480 x 480."""
    mode: str = "RGB"
    """Of the decoded image."""
    size: Size = (CANVAS, CANVAS)
    """Of the decoded image; the longer side is the height where it may be turned."""


def raster_bytes(mode: str, size: Size) -> int:
    """Return the bytes of an image in Pillow: rows of whole words, and a pointer to each."""
    width, height = size
    row_bytes = -(-width * _BYTES_PER_PIXEL.get(mode, 4) // 4) * 4
    return height * (row_bytes + _ROW_POINTER_BYTES)


def estimate(
    *,
    load_bytes: int,
    mode: str,
    size: Size,
    may_turn: bool,
    cost: float,
    kept_bytes: int = 0,
) -> Work:
    """Return the work of decoding and resizing an image.

    Args:
        load_bytes: the most memory that the reader uses, the image that it returns included.
        mode: of the image that it returns.
        size: of that image, width and height.
        may_turn: whether the file may have an EXIF orientation.
        cost: of the reader, without the cost of many rows.
        kept_bytes: what the reader keeps beside the image, in every step.
    """
    upright_bytes = image_bytes = raster_bytes(mode, size)
    upright = size
    turning_bytes = 0
    if may_turn:
        upright = min(size), max(size)  # the one with more rows takes more
        upright_bytes = raster_bytes(mode, upright)
        turning_bytes = image_bytes + upright_bytes
    left_bytes = min(load_bytes - image_bytes, _LEFT_BYTES)
    resizing_bytes = upright_bytes + _resize_bytes(mode, upright) + left_bytes
    memory_bytes = _FIXED_BYTES + kept_bytes + max(load_bytes, turning_bytes, resizing_bytes)
    cost += _COST_PER_ROW * upright[1] + _ALPHA_COST * (mode in _ALPHA_MODES)
    return Work(memory_bytes, cost, mode, upright)


def of_views(work: Work, views: Sequence[View]) -> Work:
    """Return the work of reading `views` instead of the centre square; one is resized at a time."""
    if all(view == CENTRE_SQUARE for view in views):
        return work
    sizes = (work.size, work.size[::-1])  # either way round: the file may be turned
    most = max(_view_bytes(work.mode, size, view) for view in views for size in sizes)
    more = max(0, most - _resize_bytes(work.mode, work.size))
    return replace(work, memory_bytes=work.memory_bytes + more)


def _view_bytes(mode: str, size: Size, view: View) -> int:
    crop_bytes = 0
    if view.crop:
        across, down = view.crop.width.pixels(size[0]), view.crop.height.pixels(size[1])
        size = math.ceil(min(across, size[0])), math.ceil(min(down, size[1]))
        crop_bytes = raster_bytes(mode, size)
    if view.fit == "cover":
        return crop_bytes + _resize_bytes(mode, size)
    return crop_bytes + _resize_bytes(mode, size, size)


def _resize_bytes(mode: str, size: Size, part: Size | None = None) -> int:
    """Return the memory of resizing a part of an image; None: its centre square."""
    width, height = part or (min(size),) * 2
    longer = max(width, height)
    is_small = math.prod(size) <= MAX_UNRESIZED_PIXELS and longer <= MAX_UNRESIZED_SIDE
    if mode == "RGB" and is_small:
        copy_bytes = 3 * math.prod(size)
        windows_bytes = 12 * width * height + 12 * CANVAS * width
        return copy_bytes + max(copy_bytes, windows_bytes)
    premultiplied_bytes = raster_bytes(mode, size) if mode in _ALPHA_MODES else 0
    is_tall = height > max(CANVAS, width)
    between = (width, CANVAS) if is_tall else (CANVAS, height)
    weight_bytes = 0 if part is None else _WEIGHT_BYTES * (width + height)
    return premultiplied_bytes + raster_bytes(mode, between) + weight_bytes
