"""Sessions whose only output is one layer, since a graph returns only its declared outputs.

The graph is cut after the layer, so early layers are cheap. These sessions run
on the CPU even where the model runs on a GPU, so they take none of its memory.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.runtime import ort
from app.runtime.inspection.onnx_graph import Graph

MAX_SESSIONS = 4
"""The maximum number of sessions for each model; the least recently used is dropped first."""


class LayerSessions:
    """Sessions of one ONNX file, each with one tensor as its output.

    Args:
        locate: returns the file's path; called each time that the file is read.
    """

    def __init__(self, locate: Callable[[], Path]) -> None:
        self._locate = locate
        self._sessions: OrderedDict[str, ort.OrtSession] = OrderedDict()
        self._changing = threading.Lock()

    def __len__(self) -> int:
        """The number of open sessions."""
        return len(self._sessions)

    def run(self, tensor: str, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the value (N, ...) float32 of `tensor` for images (N, S, S, 3) uint8 RGB."""
        with self._changing:
            session = self._sessions.pop(tensor, None) or _cut(self._locate(), tensor)
            self._sessions[tensor] = session
            while len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        value: NDArray[np.float32]
        (value,) = session.run([tensor], {session.get_inputs()[0].name: images})
        return value


def _cut(path: Path, tensor: str) -> ort.OrtSession:
    """Return a session of the graph at `path`, cut after `tensor`."""
    from onnx import TensorProto, helper

    graph = Graph.load(path)
    kept = graph.ancestors(tensor)
    read = {name for node in kept for name in node.input}
    proto = graph.model.graph
    cut = helper.make_graph(
        kept,
        proto.name,
        list(proto.input),
        [helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None)],
        [constant for constant in proto.initializer if constant.name in read],
    )
    model = helper.make_model(
        cut, opset_imports=graph.model.opset_import, ir_version=graph.model.ir_version
    )
    # One thread: the engine's threads keep the cores busy.
    return ort.open_session(model.SerializeToString(), threads=1)
