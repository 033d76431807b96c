"""An ONNX file -> its graph with one input and one output, and the properties of both.

    file -> onnx_file: its model
         -> image_input: layout, channels, size, batch
         -> class_output: the tensor that holds the classes

If the file leaves something open, an error names the option to pass.
"""

from dataclasses import dataclass

import onnx
from onnx import TensorProto

from app.bundle import Task
from training.importing.class_output import ClassOutput, select_output
from training.importing.image_input import ImageInput, Layout, Size, read_image_input
from training.importing.onnx_file import nodes_of
from training.importing.output_kind import Kind

_QUANTIZED = frozenset(
    {
        *("QuantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"),
        *("QLinearConv", "QLinearMatMul", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"),
        *("MatMulIntegerToFloat", "QAttention", "QGemm"),
    }
)


@dataclass(frozen=True)
class StatedProperties:
    """The properties that the command line states; None for those to derive from the file."""

    size: Size | None = None
    layout: Layout | None = None
    kind: Kind | None = None
    output: str | None = None
    task: Task | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """A graph whose input and output are known."""

    model: onnx.ModelProto
    image: ImageInput
    output: ClassOutput
    stated_kind: Kind | None

    @property
    def has_float16(self) -> bool:
        """True if a part of the graph computes in float16 or bfloat16."""
        halves = {TensorProto.FLOAT16, TensorProto.BFLOAT16}
        tensors = {tensor.data_type for tensor in self.model.graph.initializer}
        casts = {
            attribute.i
            for node in self.model.graph.node
            if node.op_type == "Cast"
            for attribute in node.attribute
            if attribute.name == "to"
        }
        return bool(halves & ({self.image.dtype} | tensors | casts))

    @property
    def is_quantized(self) -> bool:
        """True if a part of the graph is in int8 already."""
        return any(node.op_type in _QUANTIZED for node in nodes_of(self.model.graph))

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was derived or left out, to be shown."""
        return (*self.image.notes, *self.output.notes)


def read(model: onnx.ModelProto, stated: StatedProperties, labels: int) -> Source:
    """Determine the input and the output of `model`, for so many labels.

    Raises:
        DataUnusable: it is no image classifier, or `stated` leaves something open.
    """
    image = read_image_input(model, stated.layout, stated.size)
    return Source(model, image, select_output(model, stated.output, labels), stated.kind)
