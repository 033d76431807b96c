"""A tensor of images: check its shape against its bytes, then return its photos.

    BYTES [n] or [n, 1]      encoded images; base64 strings in JSON, length-prefixed after it
    UINT8 [n, 480, 480, 3]   canvases, RGB
    UINT8 [n, H, W, 3]       the model's input; for 480 x 480 a canvas

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
from app.vision import CANVAS_SHAPE
from app.vision.sniff import sniff

_PREFIX_BYTES = 4


@dataclass(frozen=True)
class ModelInput:
    """The input that a model accepts."""

    shape: tuple[int, int, int]
    """Height, width and channels of the model's input."""
    max_images: int


@dataclass(frozen=True)
class TensorSpec:
    """A tensor's datatype and shape, both checked."""

    datatype: str
    shape: tuple[int, ...]

    @property
    def images(self) -> int:
        """The number of images."""
        return self.shape[0]


def read_spec(datatype: object, shape: object, model_input: ModelInput) -> TensorSpec:
    """Check a tensor's datatype and shape.

    Raises:
        BadParameter: a tensor of images can't have them.
        TooManyFiles: it has more images than are allowed.
    """
    if datatype not in ("BYTES", "UINT8"):
        raise BadParameter(f"The datatype is {datatype!r:.40}; it must be BYTES or UINT8.")
    if not isinstance(shape, list) or not all(type(side) is int for side in shape):
        raise BadParameter("The input's `shape` must be an array of whole numbers.")
    tails = ((), (1,)) if datatype == "BYTES" else (CANVAS_SHAPE, model_input.shape)
    if tuple(shape[1:]) not in tails or not shape:
        shapes = dict.fromkeys(str(["n", *tail]).replace("'", "") for tail in tails)
        raise BadParameter(
            f"The input's shape is {shape!s:.80}; for {datatype} it must be {' or '.join(shapes)}."
        )
    if shape[0] < 1:
        raise BadParameter("The input holds no image. Send at least one.")
    if shape[0] > model_input.max_images:
        raise TooManyFiles(
            f"The input has {shape[0]!s:.20} images; {model_input.max_images} are allowed. "
            "Send fewer at once."
        )
    return TensorSpec(str(datatype), tuple(shape))


def from_binary(spec: TensorSpec, body: bytes, start: int) -> Sequence[Photo]:
    """Return the photos in the bytes after the JSON: `body` from `start` on.

    Raises:
        BadParameter: the bytes don't match the datatype and shape.
    """
    if spec.datatype == "BYTES":
        return _split_prefixed(body, start, spec.images)
    return _arrays(spec, body, start)


def from_numbers(spec: TensorSpec, numbers: bytes) -> Sequence[Photo]:
    """Return the photos in a JSON array of numbers, which are bytes here.

    Raises:
        BadParameter: the shape requires another number of values, or the datatype is BYTES.
    """
    if spec.datatype == "BYTES":
        raise BadParameter("`data` of a BYTES input must be an array of base64 strings.")
    return _arrays(spec, numbers, 0)


def from_strings(spec: TensorSpec, data: object) -> Sequence[Photo]:
    """Return the photos in a JSON array of base64 strings, nested or flat.

    Raises:
        BadParameter: `data` is not such an array, or the shape requires another number of strings.
    """
    if spec.datatype == "UINT8":
        raise BadParameter("`data` of a UINT8 input must be an array of whole numbers.")
    items: list[Any] = data if isinstance(data, list) else []
    flat = [part for item in items for part in (item if isinstance(item, list) else [item])]
    if len(flat) != spec.images:
        raise BadParameter(
            f"`data` of a BYTES input must be an array of {spec.images} base64 strings, one for "
            "each image, as its shape says."
        )
    return [decode_base64(text, "A string in `data`") for text in flat]


def from_raw(body: bytes, model_input: ModelInput) -> Sequence[Photo]:
    """Return the only photo of a raw body: an encoded image, or an array if the length matches."""
    try:
        sniff(body)
    except InputError:
        for shape in (CANVAS_SHAPE, model_input.shape):
            if len(body) == prod(shape):
                return _arrays(TensorSpec("UINT8", (1, *shape)), body, 0)
    return [body]


def _arrays(spec: TensorSpec, data: bytes, start: int) -> Sequence[Photo]:
    expected, actual = prod(spec.shape), len(data) - start
    if actual != expected:
        raise BadParameter(
            f"A UINT8 tensor of shape {list(spec.shape)} has {expected} elements, a byte each; "
            f"{actual} were sent."
        )
    return list(np.frombuffer(data, np.uint8, expected, start).reshape(spec.shape))


def _split_prefixed(body: bytes, start: int, count: int) -> Sequence[Photo]:
    photos: list[Photo] = []
    while start < len(body) and len(photos) < count:
        length = int.from_bytes(body[start : start + _PREFIX_BYTES], "little")
        start += _PREFIX_BYTES
        if start + length > len(body):
            raise BadParameter(
                f"Element {len(photos)} of the BYTES tensor is cut off. Send each as its length, "
                "in 4 bytes with the lowest first, then its content."
            )
        photos.append(body[start : start + length])
        start += length
    if len(photos) != count or start != len(body):
        raise BadParameter(
            f"The BYTES tensor must hold {count} elements, as its shape says, and nothing "
            "after them."
        )
    return photos
