"""An ONNX file -> its graph with one input and one output, and the properties of both.

    file -> its graph, with external data; opset 13 or newer where it can be converted
         -> image_input: layout, size, batch
         -> output_kind: logits or probabilities

If the file leaves something open, an error names the option to pass.
"""

from dataclasses import dataclass, field
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import version_converter

from app.errors import first_line_of
from training.errors import DataUnusable
from training.importing.image_input import Layout, read_image_input
from training.importing.output_kind import Kind, class_output, output_kind

_OLDEST_OPSET = 7
"""The oldest operator set; from here on arithmetic broadcasts as NumPy does."""
_MIN_OPSET, _CONVERTED_OPSET = 13, 17
"""Graphs older than the first operator set are converted to the second, which int8 needs."""


@dataclass(frozen=True)
class StatedProperties:
    """The properties that the command line states; None for those to derive from the file."""

    size: int | None = None
    layout: Layout | None = None
    kind: Kind | None = None
    output: str | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """A graph whose input and output are fully known."""

    model: onnx.ModelProto
    input: str
    is_float16: bool
    """True if it reads float16."""
    layout: Layout
    size: int
    """Side of the square input, in pixels."""
    batch: int | None
    """The number of pictures per run; None for any number."""
    output: str
    kind: Kind
    softmax: str | None
    """The tensor that the last Softmax reads; None where no Softmax ends the graph."""
    notes: tuple[str, ...] = field(default=())
    """Sentences on what was derived or left out, to be shown."""


def read(file: Path, stated: StatedProperties) -> Source:
    """Read `file` and determine its input and output.

    Raises:
        DataUnusable: it is no image classifier, or `stated` leaves something open.
    """
    model = _loaded(file)
    image = read_image_input(model, stated.layout, stated.size)
    output = class_output(model, stated.output)
    kind, softmax = output_kind(model, output, stated.kind)
    return Source(
        model=model,
        input=image.name,
        is_float16=image.is_float16,
        layout=image.layout,
        size=image.size,
        batch=image.batch,
        output=output,
        kind=kind,
        softmax=softmax,
        notes=image.notes,
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
            f"{file} has an input or an output without a name, so nothing can be connected to it. "
            "Export it with names."
        )
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset >= _MIN_OPSET:
        return model
    try:
        return version_converter.convert_version(model, _CONVERTED_OPSET)
    except Exception as err:  # version_converter raises plain exceptions
        if opset >= _OLDEST_OPSET:
            return model  # only int8 needs a newer one
        raise DataUnusable(
            f"{file} is of operator set {opset}, which can't be converted to {_CONVERTED_OPSET} "
            f"({first_line_of(err)}). Export it with a newer one."
        ) from err
