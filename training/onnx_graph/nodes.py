"""The nodes of a graph that given tensors depend on, with branches and loops."""

from collections.abc import Iterable, Sequence

import onnx


def names_inside(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node's branches and loops read, in the outer graph too."""
    graphs = [inner for a in node.attribute for inner in (a.g, *a.graphs)]
    inner = [each for graph in graphs for each in graph.node]
    names = {value.name for graph in graphs for value in graph.output}
    return names.union(*({*each.input, *names_inside(each)} for each in inner))


def needed_nodes(
    nodes: Sequence[onnx.NodeProto], tensors: Iterable[str]
) -> tuple[list[onnx.NodeProto], set[str]]:
    """Return the sorted nodes that `tensors` depend on, and the names of all that they read."""
    needed = set(tensors)
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input) | names_inside(node)
    return kept[::-1], needed
