"""The image input of a graph -> its name, type, layout, channels, size and batch.

inputs -> the one that a node reads      the others are left out, with a note
       -> layout, channels, size         from its shape, or the first convolution, or an option
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Literal

import onnx
from onnx import TensorProto, helper

from training.errors import DataUnusable

Layout = Literal["nchw", "nhwc"]
COLOUR, GREY = 3, 1
"""Numbers of channels."""
Size = tuple[int, int]
"""Height and width, in pixels."""
_IMAGE_RANK, _ROW_RANK = 4, 2
_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE})
_INTEGERS = frozenset(
    {
        *(TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64),
        *(TensorProto.INT16, TensorProto.INT32, TensorProto.INT64),
    }
)
_SMALLEST, _LARGEST = 8, 4096
"""Sides of an input in pixels."""
_CHANNEL_AXIS: Mapping[Layout, int] = {"nchw": 1, "nhwc": 3}
_SIDES: Mapping[Layout, slice] = {"nchw": slice(2, 4), "nhwc": slice(1, 3)}
_ELEMENTWISE = frozenset({"Cast", "Identity", "Sub", "Add", "Mul", "Div"})
"""Operators that may stand between the input and the first convolution."""


@dataclass(frozen=True)
class ImageInput:
    """The input that reads images."""

    name: str
    dtype: int
    """The type of its elements, of onnx.TensorProto."""
    layout: Layout
    channels: int
    """3 for RGB or BGR, 1 for grey."""
    size: Size
    """Height and width, in pixels."""
    batch: int | None
    """The number of pictures per run; None for any number."""
    is_row: bool = False
    """True if it reads the pixels of a picture as one row, [N, H * W * C]."""
    notes: tuple[str, ...] = ()
    """Sentences on what was derived or left out."""

    @property
    def is_integer(self) -> bool:
        """True if it reads pixels of 0 to 255 as integers, so that the graph normalises them."""
        return self.dtype in _INTEGERS

    @property
    def pixel_shape(self) -> tuple[int, int, int]:
        """The shape of a picture in the input's layout."""
        channels = self.channels
        return (channels, *self.size) if self.layout == "nchw" else (*self.size, channels)


def read_image_input(
    model: onnx.ModelProto, layout: Layout | None, size: Size | None
) -> ImageInput:
    """Return the image input of `model`.

    Args:
        model: the model.
        layout: its layout; None to derive it.
        size: its height and width in pixels; None to derive them from the shape.

    Raises:
        DataUnusable: there is no image input, or its layout or size is ambiguous.
    """
    value, notes = _only_input(model)
    dims = _dims(value)
    dtype = value.type.tensor_type.elem_type
    if len(dims) == _ROW_RANK:
        return _row_input(value.name, dtype, dims, layout, size, notes)
    actual_layout, channels = _layout(model, value.name, dims, layout)
    return ImageInput(
        name=value.name,
        dtype=dtype,
        layout=actual_layout,
        channels=channels,
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
    _check_type(image)
    return image, [
        f"input {name!r} is a dummy: nothing reads it, it is left out" for name in dummies
    ]


def _check_type(image: onnx.ValueInfoProto) -> None:
    rank, dtype = len(_dims(image)), image.type.tensor_type.elem_type
    if dtype not in _FLOATS | _INTEGERS:
        name = TensorProto.DataType.Name(dtype).lower()
        what = (
            "reads encoded files or text"
            if dtype == TensorProto.STRING
            else f"is {name}, which has no usual meaning for pixels"
        )
        raise DataUnusable(
            f"The model's input {image.name!r} {what}. Export it with an input of float32 or uint8."
        )
    if rank not in (_IMAGE_RANK, _ROW_RANK):
        raise DataUnusable(
            f"The model's input {image.name!r} has {rank} dimensions, and images have four: "
            "pictures, channels, height, width. Export it with such an input."
        )


def _row_input(
    name: str,
    dtype: int,
    dims: Sequence[int | None],
    layout: Layout | None,
    size: Size | None,
    notes: list[str],
) -> ImageInput:
    """Return an input that reads the pixels of a picture as one row, as scikit-learn does."""
    width = dims[1]
    if width is None:
        raise DataUnusable(
            f"The model's input {name!r} is {_shape(dims)}, rows of any length. "
            "Export it for a fixed number of pixels."
        )
    for channels in (COLOUR, GREY):
        side = isqrt(width // channels)
        height, across = size or (side, side)
        if height * across * channels == width:
            _check_size((height, across), size)
            actual: Layout = layout or "nhwc"
            order = "height, width, channels" if actual == "nhwc" else "channels, height, width"
            pixels = "grey" if channels == GREY else "colour"
            note = f"input {name!r} reads {height}x{across} {pixels} pixels as one row of {order}"
            return ImageInput(
                name,
                dtype,
                actual,
                channels,
                (height, across),
                dims[0],
                is_row=True,
                notes=(*notes, note),
            )
    raise DataUnusable(
        f"The model's input {name!r} is {_shape(dims)}, and {width} numbers are no picture of "
        f"{describe(size) if size else 'equal sides'}. Pass --size as HEIGHTxWIDTH, or name a "
        "classifier that reads pixels."
    )


def _dims(value: onnx.ValueInfoProto) -> list[int | None]:
    """Return an input's shape, with None for each dimension that varies."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return [None] * _IMAGE_RANK
    dims = tensor.shape.dim
    return [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dims]


def _layout(
    model: onnx.ModelProto, name: str, dims: Sequence[int | None], stated: Layout | None
) -> tuple[Layout, int]:
    """Return the layout and the number of channels."""
    fits: list[Layout] = [
        layout for layout, place in _CHANNEL_AXIS.items() if dims[place] in (COLOUR, GREY, None)
    ]
    if not fits:
        raise DataUnusable(
            f"The model's input {name!r} is {_shape(dims)}: no dimension has the three channels of "
            "RGB, or one for grey. Export it for photos."
        )
    if stated is not None and stated not in fits:
        raise DataUnusable(
            f"The model's input {name!r} is {_shape(dims)}, which is not {stated}. "
            "Leave out --layout."
        )
    known = [layout for layout in fits if dims[_CHANNEL_AXIS[layout]] is not None]
    layout = stated or (known[0] if len(known) == 1 else None)
    convolved = _from_first_convolution(model, name)
    if layout is None and convolved is not None and convolved[0] in fits:
        layout = convolved[0]
    if layout is None:
        raise DataUnusable(
            f"The model's input {name!r} is {_shape(dims)}, so its layout is ambiguous. "
            "Pass --layout nchw or --layout nhwc."
        )
    channels = dims[_CHANNEL_AXIS[layout]]
    if channels is None and convolved is not None and convolved[0] == layout:
        channels = convolved[1]
    return layout, COLOUR if channels is None else channels


def _from_first_convolution(model: onnx.ModelProto, name: str) -> tuple[Layout, int] | None:
    """Return the layout and the channels that the first convolution reads; None if unknown."""
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    layout: Layout = "nchw"
    for node in model.graph.node:
        if name not in node.input:
            continue
        if node.op_type == "Conv":
            dims = weights.get(node.input[1])
            groups = _attribute(node, "group", 1)
            channels = dims[1] * groups if dims is not None else None
            return (layout, channels) if channels in (COLOUR, GREY) else None
        if node.op_type == "Transpose" and _attribute(node, "perm", None) == [0, 3, 1, 2]:
            layout = "nhwc"
        elif node.op_type not in _ELEMENTWISE:
            return None
        name = node.output[0]
    return None


def _attribute(node: onnx.NodeProto, name: str, default: object) -> object:
    found = next((each for each in node.attribute if each.name == name), None)
    return default if found is None else helper.get_attribute_value(found)


def describe(size: Size) -> str:
    """Return a height and width, for people."""
    return f"{size[0]}x{size[1]}"


def _option(size: Size) -> str:
    """Return a size as the option --size takes it, in the shortest form."""
    return str(size[0]) if size[0] == size[1] else describe(size)


def _size(name: str, dims: Sequence[int | None], layout: Layout, stated: Size | None) -> Size:
    height, width = dims[_SIDES[layout]]
    if stated is None and height is None and width is None:
        raise DataUnusable(
            f"The model's input {name!r} is {_shape(dims)}, of any size. Pass --size, in pixels."
        )
    if stated is not None:
        size = height or stated[0], width or stated[1]
    else:  # one side that varies is as long as the other
        size = height or width or 0, width or height or 0
    _check_size(size, stated)
    return size


def _check_size(size: Size, stated: Size | None) -> None:
    if stated not in (None, size):
        raise DataUnusable(
            f"The model reads {describe(size)} pixels, and --size is {_option(stated or size)}. "
            f"Pass --size {_option(size)}."
        )
    if not all(_SMALLEST <= side <= _LARGEST for side in size):
        raise DataUnusable(
            f"The model reads {describe(size)} pixels, and {_SMALLEST} to {_LARGEST} are served. "
            "Export it for such a size."
        )


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
