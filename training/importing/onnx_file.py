"""An ONNX file -> its model, with its weights, its nodes in order, and an opset that int8 can use.

    file -> is it ONNX at all? -> its graph, with external data
         -> can ONNX Runtime read this IR version, opset and these operators?
         -> nodes in topological order -> opset 13 or newer, where it can be converted

Each question has an error of its own, since ONNX Runtime's messages don't say what to do.
"""

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import TensorProto, helper, version_converter

from app.errors import first_line_of
from app.runtime import ort
from training.errors import DataUnusable
from training.importing import file_kind
from training.onnx_graph.nodes import names_inside

_OLDEST_OPSET = 7
"""The oldest operator set; from here on arithmetic broadcasts as NumPy does."""
_MIN_OPSET, _CONVERTED_OPSET = 13, 17
"""Graphs older than the first operator set are converted to the second, which int8 needs."""
_PROBED_IR, _PROBED_OPSET = 8, 13
"""Versions that every ONNX Runtime reads: one of two is tried at a time, beside the other."""
_LIMIT = re.compile(r"(?:max supported IR version:|is till opset)\s*(\d+)")
"""The newest version that ONNX Runtime reads, in its messages."""
_STANDARD = frozenset({"", "ai.onnx"})
_RUNTIME_DOMAINS = frozenset(
    {
        *("ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training", "ai.onnx.training"),
        *("com.microsoft", "com.microsoft.experimental", "com.microsoft.nchwc"),
        *("com.ms.internal.nhwc", "org.pytorch.aten"),
    }
)
"""The domains with operators that ONNX Runtime has, besides the standard one."""


def load(file: Path) -> onnx.ModelProto:
    """Read `file`, an ONNX model that ONNX Runtime can run.

    Raises:
        DataUnusable: it is another kind of file, or too new, or needs operators of its own.
    """
    model = _read(file)
    if not model.graph.node or not model.graph.output:
        raise DataUnusable(f"{file} holds no graph. Name a model exported to ONNX.")
    unnamed = [value for value in (*model.graph.input, *model.graph.output) if not value.name]
    if unnamed:
        raise DataUnusable(
            f"{file} has an input or an output without a name, so nothing can be connected to it. "
            "Export it with names."
        )
    _check_versions(file, model)
    _check_operators(file, model)
    sort_nodes(model.graph)
    return _converted(file, model)


def _read(file: Path) -> onnx.ModelProto:
    try:
        data = file.read_bytes()
    except OSError as err:
        raise DataUnusable(f"{file} can't be read ({err.strerror}). Name an .onnx file.") from err
    if (kind := file_kind.model_kind(data)) is not None:
        raise DataUnusable(f"{file} is {kind.name}, and no ONNX model. {kind.advice}")
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as err:
        raise DataUnusable(
            f"{file} is no ONNX file, or it was cut off. Name a model exported to ONNX."
        ) from err
    try:
        onnx.load_external_data_for_model(model, str(file.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as err:
        raise DataUnusable(
            f"{file} can't be read ({first_line_of(err)}). "
            "Files with its weights must lie beside it."
        ) from err
    try:
        model.ByteSize()
    except (EncodeError, ValueError) as err:
        raise DataUnusable(
            f"{file} and its weights are over 2 GB, the most that one ONNX file holds. "
            "Export it in float16."
        ) from err
    return model


def _check_versions(file: Path, model: onnx.ModelProto) -> None:
    if (reason := _why_unreadable(model.ir_version, "", _PROBED_OPSET)) is not None:
        raise DataUnusable(
            f"{file} has the IR version {model.ir_version}, which is newer than this ONNX Runtime "
            f"reads ({reason}). Export it with an older version of onnx, or update ONNX Runtime."
        )
    for opset in model.opset_import:
        if opset.domain not in _STANDARD:
            continue
        reason = _why_unreadable(_PROBED_IR, opset.domain, opset.version)
        if reason is not None:
            raise DataUnusable(
                f"{file} has the opset {opset.version}, which is newer than this ONNX Runtime "
                f"reads ({reason}). Export it with an older opset (opset_version=17), or update "
                "ONNX Runtime."
            )


def _why_unreadable(ir_version: int, domain: str, opset: int) -> str | None:
    """Return why ONNX Runtime rejects the versions of a tiny model; None if it reads them."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    opsets = [helper.make_opsetid(domain, opset)]
    probe = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
    try:
        ort.open_session(probe.SerializeToString(), threads=1)
    except Exception as err:  # ONNX Runtime's exceptions have no common base of their own
        limit = _LIMIT.search(str(err))
        return first_line_of(err) if limit is None else f"up to {limit[1]}"
    return None


def _check_operators(file: Path, model: onnx.ModelProto) -> None:
    """Reject operators of a domain that neither ONNX Runtime nor the file itself defines."""
    local = {function.domain for function in model.functions}
    known = _STANDARD | _RUNTIME_DOMAINS | local
    inside = (node for function in model.functions for node in function.node)
    for node in (*nodes_of(model.graph), *inside):
        if node.domain not in known:
            raise DataUnusable(
                f"{file} needs the custom operator {node.op_type!r} of {node.domain!r}, which ONNX "
                "Runtime doesn't have. Export it with standard operators."
            )


def nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield every node, inside branches and loops too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes_of(inner)


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put nodes after those that they read, as the format demands and some converters don't.

    Casts that a converter to float16 adds stand at the end, for example.
    """
    producers = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    reads = [{*node.input, *names_inside(node)} for node in graph.node]
    before = {
        index: {producers[name] for name in names if name in producers}
        for index, names in enumerate(reads)
    }
    try:
        order = list(TopologicalSorter(before).static_order())
    except CycleError:
        return  # ONNX Runtime rejects it with its own message
    if all(source < index for index, sources in before.items() for source in sources):
        return
    nodes = [graph.node[index].SerializeToString() for index in order]
    del graph.node[:]
    graph.node.extend(map(onnx.NodeProto.FromString, nodes))


def _converted(file: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    opset = next((o.version for o in model.opset_import if o.domain in _STANDARD), 0)
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
