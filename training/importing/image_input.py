"""The image input of a graph -> its name, type, layout, size and batch.

inputs -> the one that a node reads      the others are left out, with a note
       -> layout, size                   from its shape, or as the command line says
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import onnx
from onnx import TensorProto

from training.errors import DataUnusable

Layout = Literal["nchw", "nhwc"]
CHANNELS = 3
_IMAGE_RANK = 4
_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16})
_SMALLEST, _LARGEST = 8, 480
"""Sides of a bundle's input in pixels, as app.bundle.InputSpec limits them."""
_CHANNEL_AXIS: Mapping[Layout, int] = {"nchw": 1, "nhwc": 3}
_SIDES: Mapping[Layout, slice] = {"nchw": slice(2, 4), "nhwc": slice(1, 3)}


@dataclass(frozen=True)
class ImageInput:
    """The input that reads images."""

    name: str
    is_float16: bool
    """True if it reads float16."""
    layout: Layout
    size: int
    """Side of the square, in pixels."""
    batch: int | None
    """The number of pictures per run; None for any number."""
    notes: tuple[str, ...]
    """A sentence for each input that is left out."""


def read_image_input(model: onnx.ModelProto, layout: Layout | None, size: int | None) -> ImageInput:
    """Return the image input of `model`.

    Args:
        model: the model.
        layout: its layout; None to derive it from the shape.
        size: its side in pixels; None to derive it from the shape.

    Raises:
        DataUnusable: there is no image input, or its layout or size is ambiguous.
    """
    value, notes = _only_input(model)
    dims = _dims(value)
    actual_layout = _layout(value.name, dims, layout)
    return ImageInput(
        name=value.name,
        is_float16=value.type.tensor_type.elem_type == TensorProto.FLOAT16,
        layout=actual_layout,
        size=_size(value.name, dims, actual_layout, size),
        batch=dims[0],
        notes=tuple(notes),
    )


def _only_input(model: onnx.ModelProto) -> tuple[onnx.ValueInfoProto, list[str]]:
    """Return the input that a node reads, and a note for each input that no node reads.

    Old exporters list weights as inputs, too; these don't count.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    read = set(_names_read(model.graph))
    used = [value for value in inputs if value.name in read]
    dummies = [value.name for value in inputs if value.name not in read]
    if not used:
        reason = f"nothing reads its input {dummies[0]!r}" if dummies else "it has no input"
        raise DataUnusable(
            f"The model's output doesn't depend on an image: {reason}. Export the whole model."
        )
    if len(used) > 1:
        names = " and ".join(repr(value.name) for value in used)
        raise DataUnusable(
            f"The model has {len(used)} inputs, {names}, and a classifier of images has one. "
            "Export it with the others fixed."
        )
    (image,) = used
    rank, dtype = len(_dims(image)), image.type.tensor_type.elem_type
    if dtype not in _FLOATS:
        name = TensorProto.DataType.Name(dtype).lower()
        raise DataUnusable(
            f"The model's input {image.name!r} is {name}, and float32 or float16 is needed. "
            "Export it with a float input."
        )
    if rank != _IMAGE_RANK:
        raise DataUnusable(
            f"The model's input {image.name!r} has {rank} dimensions, and images have four: "
            "pictures, channels, height, width. Export it with such an input."
        )
    return image, [
        f"input {name!r} is a dummy: nothing reads it, it is left out" for name in dummies
    ]


def _dims(value: onnx.ValueInfoProto) -> list[int | None]:
    """Return an input's shape, with None for each dimension that varies."""
    dims = value.type.tensor_type.shape.dim
    return [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dims]


def _layout(name: str, dims: Sequence[int | None], stated: Layout | None) -> Layout:
    fits: list[Layout] = [
        layout for layout, place in _CHANNEL_AXIS.items() if dims[place] in (CHANNELS, None)
    ]
    if not fits:
        raise DataUnusable(
            f"The model's input {name!r} is {_shape(dims)}: no dimension has the three channels of "
            "RGB. Export it for colour images."
        )
    if stated is not None:
        if stated not in fits:
            raise DataUnusable(
                f"The model's input {name!r} is {_shape(dims)}, which is not {stated}. "
                "Leave out --layout."
            )
        return stated
    unambiguous: list[Layout] = [
        layout for layout in fits if dims[_CHANNEL_AXIS[layout]] == CHANNELS
    ]
    if len(unambiguous) == 1:
        return unambiguous[0]
    raise DataUnusable(
        f"The model's input {name!r} is {_shape(dims)}, so its layout is ambiguous. "
        "Pass --layout nchw or --layout nhwc."
    )


def _size(name: str, dims: Sequence[int | None], layout: Layout, stated: int | None) -> int:
    sides = {side for side in dims[_SIDES[layout]] if side is not None}
    if len(sides) > 1:
        raise DataUnusable(
            f"The model's input {name!r} is {_shape(dims)}, and only squares are served. "
            "Export it for square images."
        )
    fixed = next(iter(sides), None)
    if fixed is None and stated is None:
        raise DataUnusable(
            f"The model's input {name!r} is {_shape(dims)}, of any size. Pass --size, in pixels."
        )
    if None not in (fixed, stated) and fixed != stated:
        raise DataUnusable(
            f"The model reads {fixed}x{fixed} pixels, and --size is {stated}. Pass --size {fixed}."
        )
    size = fixed if stated is None else stated
    assert size is not None
    if not _SMALLEST <= size <= _LARGEST:
        raise DataUnusable(
            f"The model reads {size}x{size} pixels, and {_SMALLEST} to {_LARGEST} are served. "
            "Export it for such a size."
        )
    return size


def _names_read(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield every name that a node or an output reads, inside branches and loops too."""
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _names_read(inner)
    yield from (value.name for value in graph.output if value.name)


def _shape(dims: Sequence[int | None]) -> str:
    return f"[{', '.join('?' if dim is None else str(dim) for dim in dims)}]"
