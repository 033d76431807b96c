"""An ONNX file -> a graph with one input and one output, and all that has to be known of both.

    file -> its graph, external data included; opset 13 or newer where it can be brought there
         -> the one input that is read             what nothing reads is left out, and told
         -> layout, size, batch                    from its shape, or as they were given
         -> the output that was asked for          logits, or what a Softmax made of them

Each question that the file leaves open is an error that names the option with its answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, version_converter

from app.errors import first_line_of
from training.errors import DataUnusable

Layout = Literal["nchw", "nhwc"]
Kind = Literal["logits", "probabilities"]

CHANNELS = 3
_IMAGE_RANK = 4
_OLDEST = 7
"""Of the operator sets; from here on arithmetic broadcasts as NumPy does."""
_FROM, _TO = 13, 17
"""Older graphs than the first are brought to the second: int8 needs it."""
_FLOATS = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}
_SMALLEST, _LARGEST = 8, 480
"""Sides of a bundle's input, as app.bundle.InputSpec has them."""
_CHANNEL: Mapping[Layout, int] = {"nchw": 1, "nhwc": 3}
_SIDES: Mapping[Layout, slice] = {"nchw": slice(2, 4), "nhwc": slice(1, 3)}
_PASSED_THROUGH = frozenset({"Identity", "Flatten", "Reshape", "Squeeze", "Cast", "Dropout"})
"""What may stand between a Softmax and the output."""


@dataclass(frozen=True)
class Answers:
    """What the command was told; None where it is to be derived."""

    size: int | None = None
    layout: Layout | None = None
    kind: Kind | None = None
    output: str | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """A graph whose questions are all answered."""

    model: onnx.ModelProto
    input: str
    half: bool
    """Whether it reads float16."""
    layout: Layout
    size: int
    batch: int | None
    """Pictures that it takes at a time; None for any number."""
    output: str
    kind: Kind
    softmax: str | None
    """The tensor that the last Softmax reads, where one ends the graph."""
    notes: tuple[str, ...] = field(default=())
    """What was derived or left out, to be told."""


def read(file: Path, answers: Answers) -> Source:
    """Read `file` and settle what it is.

    Raises:
        DataUnusable: it is no classifier of images, or something is missing in `answers`.
    """
    model = _loaded(file)
    image, notes = _image_input(model)
    dims = _dims(image)
    layout = _layout(image.name, dims, answers.layout)
    output = _output(model, answers.output)
    kind, softmax = _kind(model, output, answers.kind)
    return Source(
        model=model,
        input=image.name,
        half=image.type.tensor_type.elem_type == TensorProto.FLOAT16,
        layout=layout,
        size=_size(image.name, dims, layout, answers.size),
        batch=dims[0] if isinstance(dims[0], int) else None,
        output=output,
        kind=kind,
        softmax=softmax,
        notes=tuple(notes),
    )


def _loaded(file: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(file)
    except DecodeError as err:
        raise DataUnusable(f"{file} is no ONNX file. Name a model exported to ONNX.") from err
    except (OSError, ValueError, onnx.checker.ValidationError) as err:
        raise DataUnusable(
            f"{file} can't be read ({first_line_of(err)}). "
            "Files with its weights must lie beside it."
        ) from err
    if not model.graph.node or not model.graph.output:
        raise DataUnusable(f"{file} holds no graph. Name a model exported to ONNX.")
    unnamed = [value for value in (*model.graph.input, *model.graph.output) if not value.name]
    if unnamed:
        raise DataUnusable(
            f"{file} has an input or an output without a name, which nothing can be connected to. "
            "Export it with names."
        )
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset >= _FROM:
        return model
    try:
        return version_converter.convert_version(model, _TO)
    except Exception as err:  # its exceptions have no common base
        if opset >= _OLDEST:
            return model  # only int8 will miss it
        raise DataUnusable(
            f"{file} is of operator set {opset}, which can't be brought to {_TO} "
            f"({first_line_of(err)}). Export it with a newer one."
        ) from err


def _image_input(model: onnx.ModelProto) -> tuple[onnx.ValueInfoProto, list[str]]:
    """The input that is read; weights that are listed as inputs, as old exporters did, aside."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    read = set(_names_read(model.graph))
    used = [value for value in inputs if value.name in read]
    dummies = [value.name for value in inputs if value.name not in read]
    if not used:
        told = f"nothing reads its input {dummies[0]!r}" if dummies else "it has no input"
        raise DataUnusable(f"The model answers without looking: {told}. Export it from the start.")
    if len(used) > 1:
        raise DataUnusable(
            f"The model has {len(used)} inputs, {_listed(value.name for value in used)}, and a "
            "classifier of images has one. Export it with the others fixed."
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
    """Its shape; None where a dimension is free."""
    dims = value.type.tensor_type.shape.dim
    return [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dims]


def _layout(name: str, dims: Sequence[int | None], given: Layout | None) -> Layout:
    fits: list[Layout] = [
        layout for layout, place in _CHANNEL.items() if dims[place] in (CHANNELS, None)
    ]
    if not fits:
        raise DataUnusable(
            f"The model's input {name!r} is {_shape(dims)}: no dimension has the three channels of "
            "RGB. Export it for colour images."
        )
    if given is not None:
        if given not in fits:
            raise DataUnusable(
                f"The model's input {name!r} is {_shape(dims)}, which is not {given}. "
                "Leave out --layout."
            )
        return given
    certain: list[Layout] = [layout for layout in fits if dims[_CHANNEL[layout]] == CHANNELS]
    if len(certain) == 1:
        return certain[0]
    raise DataUnusable(
        f"The model's input {name!r} is {_shape(dims)}, which doesn't tell its layout. "
        "Say --layout nchw or --layout nhwc."
    )


def _size(name: str, dims: Sequence[int | None], layout: Layout, given: int | None) -> int:
    sides = {side for side in dims[_SIDES[layout]] if side is not None}
    if len(sides) > 1:
        raise DataUnusable(
            f"The model's input {name!r} is {_shape(dims)}, and only squares are served. "
            "Export it for square images."
        )
    fixed = next(iter(sides), None)
    if fixed is None and given is None:
        raise DataUnusable(
            f"The model's input {name!r} is {_shape(dims)}, of any size. Say --size, in pixels."
        )
    if None not in (fixed, given) and fixed != given:
        raise DataUnusable(
            f"The model reads {fixed}x{fixed} pixels, and --size says {given}. Say --size {fixed}."
        )
    size = fixed if given is None else given
    assert size is not None
    if not _SMALLEST <= size <= _LARGEST:
        raise DataUnusable(
            f"The model reads {size}x{size} pixels, and {_SMALLEST} to {_LARGEST} are served. "
            "Export it for such a size."
        )
    return size


def _output(model: onnx.ModelProto, given: str | None) -> str:
    names: list[str] = [value.name for value in model.graph.output]
    if given is None and len(names) == 1:
        return names[0]
    if given not in names:
        wrong = f"no output {given!r}" if given is not None else f"{len(names)} outputs"
        raise DataUnusable(
            f"The model has {wrong}: there {'is' if len(names) == 1 else 'are'} {_listed(names)}. "
            "Say which holds the classes with --output-name."
        )
    return given or names[0]


def _kind(model: onnx.ModelProto, output: str, given: Kind | None) -> tuple[Kind, str | None]:
    """What the output holds, and the tensor that its Softmax reads."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    last = made_by.get(output)
    while last is not None and last.op_type in _PASSED_THROUGH:
        last = made_by.get(last.input[0])
    op = "" if last is None else last.op_type
    if op == "Softmax":
        if given == "logits":
            raise DataUnusable(
                "The model ends with a Softmax, so it gives probabilities. Leave out --output-kind."
            )
        assert last is not None
        return "probabilities", last.input[0]
    if op == "LogSoftmax":  # logarithms of probabilities are logits
        return "logits", None
    if op == "Sigmoid":
        raise DataUnusable(
            "The model ends with a Sigmoid: its classes don't exclude one another, and don't sum "
            "to 1. Export it with a Softmax."
        )
    if given is None:
        raise DataUnusable(
            f"The model ends with {op or 'its input'}, which doesn't tell what its output "
            f"{output!r} holds. Say --output-kind logits or --output-kind probabilities."
        )
    return given, None


def _names_read(graph: onnx.GraphProto) -> Iterator[str]:
    """Every name that a node reads, those inside branches and loops too."""
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _names_read(inner)
    yield from (value.name for value in graph.output if value.name)


def _shape(dims: Sequence[int | None]) -> str:
    return f"[{', '.join('?' if dim is None else str(dim) for dim in dims)}]"


def _listed(names: Any) -> str:
    return " and ".join(repr(name) for name in names)
