"""The filters of the first convolution, which read the pixels themselves."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.runtime.inspection.onnx_graph import Graph

if TYPE_CHECKING:
    import onnx

_COLOURS = 3


@dataclass(frozen=True, eq=False)
class Filters:
    """The first layer's filters."""

    layer: str
    """The name of the convolution among the layers."""
    weights: NDArray[np.float32]
    """(C, 3, kh, kw): the weights for red, green and blue."""

    @property
    def largest(self) -> float:
        """The largest absolute weight of all filters, which scales `drawing.filter_grid`."""
        return float(np.abs(self.weights).max()) or 1.0


def first_convolution(graph: Graph) -> "onnx.NodeProto | None":
    """Return the first convolution of a tensor that depends on the image."""
    for node in graph.nodes:
        if node.op_type == "Conv" and graph.depends_on_image(node.input[0]):
            return node
    return None


def first_filters(graph: Graph) -> Filters | None:
    """Return the first convolution's filters; None unless they read red, green and blue."""
    node = first_convolution(graph)
    if node is None:
        return None
    weights = graph.constant(node.input[1])
    if weights is None or weights.ndim != 4 or weights.shape[1] != _COLOURS:  # noqa: PLR2004
        return None
    name, _ = graph.display_and_value_names(node.output[0])
    return Filters(name, weights.astype(np.float32))
