"""Measure where normalisation is cheap in a graph: `python benchmarks/normalisation.py`.

Each row is a graph from uint8 pixels (1, S, S, 3) to normalised floats, as `hubel import` could put
it in front of a model. The figures are medians of ONNX Runtime's profiler on one thread, in
microseconds, for each node and for all of them.
"""

import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import app  # noqa: F401 - switches off the telemetry of ONNX Runtime, so it comes first

# isort: split
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIZE = 240
RUNS = 80
MEAN = np.array([123.7, 116.3, 103.5], np.float32)
SCALE = np.array([0.0171, 0.0175, 0.0174], np.float32)


class Nodes:
    """A chain of nodes that begins at `image`."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.last = "image"

    def add(self, op: str, *constants: NDArray[Any], **attributes: Any) -> "Nodes":
        """Append a node that reads the last one's output and `constants`."""
        names = [f"c{len(self.constants) + i}" for i in range(len(constants))]
        self.constants += map(numpy_helper.from_array, map(np.asarray, constants), names)
        output = f"{len(self.nodes)} {op}"
        self.nodes.append(helper.make_node(op, [self.last, *names], [output], output, **attributes))
        self.last = output
        return self


def _cast(nodes: Nodes) -> Nodes:
    return nodes.add("Cast", to=TensorProto.FLOAT)


def _normalise(nodes: Nodes, shape: tuple[int, ...], repeats: int = 1) -> Nodes:
    mean, scale = (np.tile(value, repeats).reshape(shape) for value in (MEAN, SCALE))
    return nodes.add("Sub", mean).add("Mul", scale)


def _pixels(nodes: Nodes) -> Nodes:
    return _normalise(_cast(nodes), (3,))


def _pixels_then_planes(nodes: Nodes) -> Nodes:
    return _pixels(nodes).add("Transpose", perm=[0, 3, 1, 2])


def _planes(nodes: Nodes) -> Nodes:
    return _normalise(_cast(nodes.add("Transpose", perm=[0, 3, 1, 2])), (3, 1, 1))


def _rows(nodes: Nodes) -> Nodes:
    nodes = _cast(nodes).add("Reshape", np.array([0, SIZE, SIZE * 3], np.int64))
    nodes = _normalise(nodes, (SIZE * 3,), SIZE)
    return nodes.add("Reshape", np.array([0, SIZE, SIZE, 3], np.int64))


def _reversed_pixels(nodes: Nodes) -> Nodes:
    return _cast(nodes.add("Gather", np.array([2, 1, 0]), axis=3))


def _reversed_planes(nodes: Nodes) -> Nodes:
    planes = nodes.add("Transpose", perm=[0, 3, 1, 2])
    return _cast(planes.add("Gather", np.array([2, 1, 0]), axis=1))


VARIANTS: dict[str, Callable[[Nodes], Nodes]] = {
    "pixels (before 2026-11-28)": _pixels,
    "pixels, then planes (before)": _pixels_then_planes,
    "planes (NCHW, now)": _planes,
    "rows of pixels (NHWC, now)": _rows,
    "BGR by pixels (before)": _reversed_pixels,
    "BGR by planes (now)": _reversed_planes,
}


def _profile(build: Callable[[Nodes], Nodes], folder: Path) -> dict[str, float]:
    """Return the median microseconds of each node."""
    nodes = build(Nodes())
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])
    output = helper.make_tensor_value_info(nodes.last, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes.nodes, "variant", [image], [output], nodes.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    pixels = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)
    for _ in range(RUNS):
        session.run(None, {"image": pixels})
    durations: defaultdict[str, list[float]] = defaultdict(list)
    for event in json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")):
        if event["name"].endswith("_kernel_time"):
            durations[event["args"]["op_name"]].append(event["dur"])
    return {name: statistics.median(values) for name, values in durations.items()}


def main() -> None:
    """Print the table."""
    print("| variant | all, µs | by node |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, build in VARIANTS.items():
            medians = _profile(build, Path(folder))
            by_node = ", ".join(f"{node} {value:.0f}" for node, value in medians.items())
            print(f"| {name} | {sum(medians.values()):.0f} | {by_node} |")


if __name__ == "__main__":
    main()
