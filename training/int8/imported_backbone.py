"""How the graph of a trained bundle is quantised, whose backbone may have been imported.

A graph that Hubel built is quantised as it is. One that was imported is folded first, and the nodes
that the importer added stay float, as in `hubel import`.
"""

from collections.abc import Collection
from dataclasses import dataclass

import onnx

from app.runtime.inspection.onnx_graph import QUANTIZATION

_IMPORTER_NODES = "hubel."
"""The beginning of the names of the nodes that the importer adds."""


@dataclass(frozen=True)
class Quantization:
    """How a graph is quantised, or why it can't be."""

    prepare: bool
    """Whether ONNX Runtime must fold and infer shapes first."""
    in_float: Collection[str]
    """The names of the nodes that stay float."""
    obstacle: str | None = None
    """Why there can't be an int8 graph."""


def quantization_of(model: onnx.ModelProto) -> Quantization:
    """Return how the fp32 graph of a bundle is quantised."""
    added = [node for node in model.graph.node if _is_importers(node)]
    if not added:
        return Quantization(prepare=False, in_float=())
    obstacle = None
    if any(node.op_type == "Scan" for node in added):
        obstacle = "the backbone runs pictures one at a time"
    elif any(_is_quantized(node) for node in model.graph.node):
        obstacle = "the backbone is quantised already"
    return Quantization(prepare=True, in_float=[node.name for node in added], obstacle=obstacle)


def _is_importers(node: onnx.NodeProto) -> bool:
    return str(node.name).rpartition("/")[2].startswith(_IMPORTER_NODES)


def _is_quantized(node: onnx.NodeProto) -> bool:
    op = node.op_type
    return op in QUANTIZATION or op.startswith("QLinear") or "Integer" in op
