"""An ONNX file -> its graph with one input and one output, and the properties of both.

    file -> its graph, with external data; opset 13 or newer where it can be converted
         -> image_input: layout, size, batch
         -> output_kind: logits or probabilities

What the file leaves open is an error that names the option to pass.
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

_OLDEST = 7
"""The oldest operator set; from here on arithmetic broadcasts as NumPy does."""
_FROM, _TO = 13, 17
"""Graphs older than the first are converted to the second, which int8 needs."""


@dataclass(frozen=True)
class Answers:
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
    half: bool
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


def read(file: Path, answers: Answers) -> Source:
    """Read `file` and determine its input and output.

    Raises:
        DataUnusable: it is no image classifier, or `answers` leaves something open.
    """
    model = _loaded(file)
    image = read_image_input(model, answers.layout, answers.size)
    output = class_output(model, answers.output)
    kind, softmax = output_kind(model, output, answers.kind)
    return Source(
        model=model,
        input=image.name,
        half=image.is_half,
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
    if opset >= _FROM:
        return model
    try:
        return version_converter.convert_version(model, _TO)
    except Exception as err:  # its exceptions have no common base
        if opset >= _OLDEST:
            return model  # only int8 needs a newer one
        raise DataUnusable(
            f"{file} is of operator set {opset}, which can't be converted to {_TO} "
            f"({first_line_of(err)}). Export it with a newer one."
        ) from err
