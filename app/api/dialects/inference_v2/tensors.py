"""A tensor of images -> photos: its shape is held against its bytes before anything is made of it.

    BYTES [n] or [n, 1]      encoded images; base64 strings in JSON, length-prefixed after it
    UINT8 [n, 480, 480, 3]   canvases, RGB
    UINT8 [n, S, S, 3]       what the model reads; for S = 480 a canvas

Arrays are views on the body, never copies of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from app.api.dialects.json_images import decode_base64
from app.errors import BadParameter, InputError, TooManyFiles
from app.runtime.classifier import Photo
from app.vision import CANVAS
from app.vision.sniff import sniff

_PREFIX_BYTES = 4


@dataclass(frozen=True)
class Accepted:
    """What a model takes."""

    size: int
    """S, side of what it reads, in pixels."""
    max_images: int


@dataclass(frozen=True)
class Form:
    """A tensor's datatype and shape, both found to be possible."""

    datatype: str
    shape: tuple[int, ...]

    @property
    def images(self) -> int:
        """How many."""
        return self.shape[0]


def read_form(datatype: object, shape: object, accepted: Accepted) -> Form:
    """Check what a tensor is said to be.

    Raises:
        BadParameter: no tensor of images is like this.
        TooManyFiles: it has more images than are allowed.
    """
    if datatype not in ("BYTES", "UINT8"):
        raise BadParameter(f"The datatype is {datatype!r:.40}; it must be BYTES or UINT8.")
    if not isinstance(shape, list) or not all(type(side) is int for side in shape):
        raise BadParameter("The input's `shape` must be an array of whole numbers.")
    sides = ((CANVAS,) * 2, (accepted.size,) * 2)
    tails = ((), (1,)) if datatype == "BYTES" else tuple((*pair, 3) for pair in sides)
    if tuple(shape[1:]) not in tails or not shape:
        forms = dict.fromkeys(str(["n", *tail]).replace("'", "") for tail in tails)
        raise BadParameter(
            f"The input's shape is {shape!s:.80}; for {datatype} it must be {' or '.join(forms)}."
        )
    if shape[0] < 1:
        raise BadParameter("The input holds no image. Send at least one.")
    if shape[0] > accepted.max_images:
        raise TooManyFiles(
            f"The input has {shape[0]!s:.20} images; {accepted.max_images} are allowed. "
            "Send fewer at once."
        )
    return Form(str(datatype), tuple(shape))


def from_binary(form: Form, body: bytes, start: int) -> Sequence[Photo]:
    """The photos in what follows the JSON: all of `body` from `start` on.

    Raises:
        BadParameter: the bytes aren't those of a tensor of this form.
    """
    if form.datatype == "BYTES":
        return _split_prefixed(body, start, form.images)
    return _arrays(form, body, start)


def from_numbers(form: Form, numbers: bytes) -> Sequence[Photo]:
    """The photos in a JSON array of numbers.

    Raises:
        BadParameter: there are more or fewer than the form says, or it is no form of numbers.
    """
    if form.datatype == "BYTES":
        raise BadParameter("`data` of a BYTES input must be an array of base64 strings.")
    return _arrays(form, numbers, 0)


def from_strings(form: Form, data: object) -> Sequence[Photo]:
    """The photos in a JSON array of base64 strings, nested or flat.

    Raises:
        BadParameter: it is no such array, or has more or fewer strings than the form says.
    """
    if form.datatype == "UINT8":
        raise BadParameter("`data` of a UINT8 input must be an array of whole numbers.")
    items: list[Any] = data if isinstance(data, list) else []
    flat = [part for item in items for part in (item if isinstance(item, list) else [item])]
    if len(flat) != form.images:
        raise BadParameter(
            f"`data` of a BYTES input must be an array of {form.images} base64 strings, one an "
            "image, as its shape says."
        )
    return [decode_base64(text, "A string in `data`") for text in flat]


def from_raw(body: bytes, accepted: Accepted) -> Sequence[Photo]:
    """The one photo that is all of `body`: an encoded image, else an array by its length."""
    try:
        sniff(body)
    except InputError:
        for side in (CANVAS, accepted.size):
            if len(body) == side * side * 3:
                return _arrays(Form("UINT8", (1, side, side, 3)), body, 0)
    return [body]


def _arrays(form: Form, data: bytes, start: int) -> Sequence[Photo]:
    wanted, found = prod(form.shape), len(data) - start
    if found != wanted:
        raise BadParameter(
            f"A UINT8 tensor of shape {list(form.shape)} has {wanted} elements, a byte each; "
            f"{found} were sent."
        )
    return list(np.frombuffer(data, np.uint8, wanted, start).reshape(form.shape))


def _split_prefixed(body: bytes, start: int, count: int) -> Sequence[Photo]:
    photos: list[Photo] = []
    while start < len(body) and len(photos) < count:
        length = int.from_bytes(body[start : start + _PREFIX_BYTES], "little")
        start += _PREFIX_BYTES
        if start + length > len(body):
            raise BadParameter(
                f"Element {len(photos)} of the BYTES tensor is cut off. Each is its length, 4 "
                "bytes with the lowest first, then its content."
            )
        photos.append(body[start : start + length])
        start += length
    if len(photos) != count or start != len(body):
        raise BadParameter(
            f"The BYTES tensor must hold {count} elements, as its shape says, and nothing "
            "behind them."
        )
    return photos
