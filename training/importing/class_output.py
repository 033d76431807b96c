"""The output of a graph that holds the classes -> the tensor to read.

outputs -> the only one with numbers, the one with a number for each label, or the one named
        -> a ZipMap's input, in place of its sequence of maps
        -> any other tensor of the graph, where the command line names one
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper, shape_inference

from app.runtime.inspection.onnx_graph import Graph
from training.errors import DataUnusable

_NUMBERS = frozenset(
    {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
)
_AFTER_SCORES = frozenset(
    {
        *("ArgMax", "TopK", "Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"),
        *("ArrayFeatureExtractor", "LabelEncoder", "Gather", "GatherElements"),
    }
)
"""Operators that turn the numbers of the classes into the name or the index of the best one."""

_BINARY = 2
"""The labels of a model that gives one number."""


@dataclass(frozen=True)
class ClassOutput:
    """The tensor that holds the numbers of the classes."""

    tensor: str
    names: tuple[str, ...] | None = None
    """The names of the classes, where the file states them."""
    notes: tuple[str, ...] = ()


def select_output(model: onnx.ModelProto, stated: str | None, labels: int) -> ClassOutput:
    """Return the tensor that holds the classes.

    Args:
        model: the model.
        stated: the name on the command line, of an output or another tensor; None to select one.
        labels: the number of labels.

    Raises:
        DataUnusable: there is no such tensor, or several fit.
    """
    if stated is not None:
        return _stated(model, stated)
    usable = {value.name: out for value in model.graph.output if (out := _read(model, value))}
    outputs: list[str] = [value.name for value in model.graph.output]
    if not usable:
        raise DataUnusable(_without_numbers(model, outputs))
    chosen = _fitting(model, usable, labels) if len(usable) > 1 else list(usable)
    if len(chosen) != 1:
        raise DataUnusable(
            f"The model has {len(outputs)} outputs: {_listed(outputs)}. "
            "Pass the one that holds the classes as --output-name."
        )
    output = usable[chosen[0]]
    others = [name for name in outputs if name != chosen[0]]
    notes = [f"output {chosen[0]!r} holds the classes; left out: {_listed(others)}"]
    return ClassOutput(output.tensor, output.names, tuple(notes) if others else ())


def _stated(model: onnx.ModelProto, stated: str) -> ClassOutput:
    for value in model.graph.output:
        if value.name == stated:
            output = _read(model, value)
            if output is None:
                raise DataUnusable(_without_numbers(model, [stated]))
            return output
    if any(stated in node.output for node in model.graph.node):
        return ClassOutput(stated)
    names: list[str] = [value.name for value in model.graph.output]
    raise DataUnusable(
        f"The model has no output {stated!r}: there {'is' if len(names) == 1 else 'are'} "
        f"{_listed(names)}. Pass the one that holds the classes as --output-name."
    )


def _read(model: onnx.ModelProto, value: onnx.ValueInfoProto) -> ClassOutput | None:
    """Return the numbers behind an output; None if it holds texts or indices."""
    node = _producer(model, value.name)
    if node is not None and node.op_type == "ZipMap":
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        texts = attributes.get("classlabels_strings")
        names = tuple(text.decode("utf-8", "replace") for text in texts) if texts else None
        return ClassOutput(node.input[0], names)
    kind = value.type.WhichOneof("value")
    if kind == "tensor_type" and value.type.tensor_type.elem_type in {*_NUMBERS, 0}:
        return ClassOutput(value.name)
    return None


def _fitting(model: onnx.ModelProto, usable: dict[str, ClassOutput], labels: int) -> list[str]:
    """Return the outputs with a number for each label; of several, those after a Softmax."""
    shapes = _shapes(model)
    fitting = []
    for name, output in usable.items():
        dims = shapes.get(output.tensor)
        counts = None if dims is None else [dim for dim in dims[1:] if dim != 1]
        if counts == [labels] or (counts == [] and labels <= _BINARY):
            fitting.append(name)
    if len(fitting) > 1:
        after = {name: _producer(model, usable[name].tensor) for name in fitting}
        ends = [name for name, node in after.items() if node and node.op_type == "Softmax"]
        fitting = ends if len(ends) == 1 else fitting
    return fitting


def _shapes(model: onnx.ModelProto) -> dict[str, list[int | None]]:
    inferred = model
    with suppress(shape_inference.InferenceError, ValueError):  # then the declared ones remain
        inferred = shape_inference.infer_shapes(model)
    values = [*inferred.graph.output, *inferred.graph.value_info]
    return {
        value.name: [dim.dim_value or None for dim in value.type.tensor_type.shape.dim]
        for value in values
        if value.type.tensor_type.HasField("shape")
    }


def _without_numbers(model: onnx.ModelProto, outputs: Sequence[str]) -> str:
    """Return a message that names the tensor with the numbers of the classes, if one is found."""
    what = f"The model's output {_listed(outputs)} holds the best class, and not a number for each"
    scores = next((name for output in outputs if (name := _scores(model, output))), None)
    if scores is None:
        return f"{what}. Export it with probabilities or logits as an output."
    return f"{what}. Pass the tensor with the numbers: --output-name {scores}."


def _scores(model: onnx.ModelProto, output: str) -> str | None:
    """Return the tensor that an ArgMax or TopK before `output` reads."""
    for node in reversed(Graph(model, output).nodes):
        if node.op_type in ("ArgMax", "TopK"):
            return str(node.input[0])
        if node.op_type not in _AFTER_SCORES:
            return None
    return None


def _producer(model: onnx.ModelProto, tensor: str) -> onnx.NodeProto | None:
    return next((node for node in model.graph.node if tensor in node.output), None)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(map(repr, names))
