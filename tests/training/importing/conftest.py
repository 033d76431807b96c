"""Small image classifiers in many exporters' styles: a convolution, its mean, a linear layer."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from app.bundle import load, verify_files
from app.cli import main
from app.runtime.session import Session

CLASSES, WIDTH, SIZE = 3, 6, 32
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FLOATS = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


class Build:
    """A builder of a classifier; each keyword is one way in which exporters differ."""

    def __init__(
        self,
        layout: str = "nchw",
        shape: list | None = None,
        pool: str = "GlobalAveragePool",
        flatten: str = "Flatten",
        linear: str = "Gemm",
        end: str | None = "Softmax",
        dtype: str = "float32",
        opset: int = 17,
        input: str = "input",
        output: str = "output",
        batch: int | str = "batch",
        classes: int = CLASSES,
    ):
        rng = np.random.default_rng(7)
        self.nodes, self.weights, self.opset = [], {}, opset
        self.float = np.float16 if dtype == "float16" else np.float32
        sides = [SIZE, SIZE]
        default = [batch, 3, *sides] if layout == "nchw" else [batch, *sides, 3]
        self.inputs = [helper.make_tensor_value_info(input, FLOATS[dtype], shape or default)]
        planes = input
        if layout == "nhwc":
            planes = self.node("Transpose", [input], perm=[0, 3, 1, 2])
        filters = self.weight("filters", rng.normal(size=(WIDTH, 3, 5, 5)) / 3)
        bias = self.weight("filters.bias", rng.normal(size=WIDTH))
        maps = self.node("Conv", [planes, filters, bias], strides=[4, 4])
        pooled = self.pool(pool, self.node("Relu", [maps]))
        flat = self.flatten(flatten, pooled, batch if isinstance(batch, int) else 1)
        logits = self.linear(
            linear, flat, rng.normal(size=(classes, WIDTH)), rng.normal(size=classes)
        )
        last = self.node(end, [logits], axis=1) if end in ("Softmax", "LogSoftmax") else logits
        last = self.node("Sigmoid", [logits]) if end == "Sigmoid" else last
        self.node("Identity", [last], output)
        self.outputs = [helper.make_tensor_value_info(output, FLOATS[dtype], [batch, classes])]

    def node(self, op, inputs, output=None, **attributes):
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def weight(self, name, value, dtype=None):
        self.weights[name] = np.asarray(value, dtype or self.float)
        return name

    def pool(self, kind, maps):
        if kind == "GlobalAveragePool":
            return self.node(kind, [maps])
        if kind == "channels last":
            turned = self.node("Transpose", [maps], perm=[0, 2, 3, 1])
            return self.node("ReduceMean", [turned], axes=[1, 2], keepdims=0)
        if self.opset < 18:
            return self.node("ReduceMean", [maps], axes=[-2, -1], keepdims=1)
        return self.node("ReduceMean", [maps, self.weight("axes", [2, 3], np.int64)], keepdims=1)

    def flatten(self, kind, pooled, batch):
        if kind == "Reshape":
            return self.node("Reshape", [pooled, self.weight("shape", [batch, WIDTH], np.int64)])
        if kind == "Squeeze":
            return self.node("Squeeze", [pooled, self.weight("places", [2, 3], np.int64)])
        return self.node("Flatten", [pooled]) if kind == "Flatten" else pooled

    def linear(self, kind, flat, weight, bias):
        if kind == "Gemm":
            inputs = [flat, self.weight("w", weight), self.weight("b", bias)]
            return self.node("Gemm", inputs, transB=1)
        if kind == "Gemm without bias":
            return self.node("Gemm", [flat, self.weight("w", weight.T)])
        if kind == "int8 weight":
            return self.node("Gemm", [flat, self.int8_weight(weight), self.weight("b", bias)])
        product = self.node("MatMul", [flat, self.weight("w", weight.T)])
        bias_name = self.weight("b", bias)
        if kind == "MatMul, bias second":
            return self.node("Add", [product, bias_name])
        total = self.node("Add", [bias_name, product])
        if kind == "MatMul, temperature":
            return self.node("Div", [total, self.weight("t", 1.5)])
        return total

    def int8_weight(self, weight):
        scale = np.abs(weight).max(axis=1) / 127
        rounded = np.rint(weight / scale[:, None]).T
        inputs = [
            self.weight("w", rounded, np.int8),
            self.weight("w.scale", scale),
            self.weight("w.zero", np.zeros(len(scale)), np.int8),
        ]
        return self.node("DequantizeLinear", inputs, axis=1)

    def model(self):
        graph = helper.make_graph(
            self.nodes,
            "classifier",
            self.inputs,
            self.outputs,
            [numpy_helper.from_array(value, name) for name, value in self.weights.items()],
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.fixture
def build() -> type[Build]:
    return Build


@pytest.fixture
def saved(tmp_path, build) -> Callable[..., object]:
    """Saves a classifier and returns its file; keywords as Build's, `change` edits the model."""

    def save(change=None, **style):
        model = build(**style).model()
        if change is not None:
            change(model)
        onnx.save(model, tmp_path / "model.onnx")
        return tmp_path / "model.onnx"

    return save


NORMAL = ("--mean", "0.485,0.456,0.406", "--std", "0.229 0.224 0.225", "--pixel-range", "1")


@pytest.fixture
def labels(tmp_path):
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    return tmp_path / "labels.txt"


@pytest.fixture
def run_import(tmp_path, labels):
    """Return a function that runs the command on a file, with the output tmp_path/mine."""

    def run(file, *options, normal=NORMAL):
        arguments = ("import", file, "--labels", labels, "--output", tmp_path / "mine")
        return CliRunner().invoke(main, [*map(str, (*arguments, *normal, *options))])

    return run


@pytest.fixture
def imported(run_import, tmp_path):
    """Return a function that imports a file and returns its bundle."""

    def run(file, *options, **more):
        result = run_import(file, *options, **more)
        assert result.exit_code == 0, result.output
        bundle = load(tmp_path / "mine")
        verify_files(bundle)
        return bundle

    return run


@pytest.fixture
def pixels():
    """Three pictures, (3, 32, 32, 3) uint8 RGB."""
    return np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)


@pytest.fixture
def outputs_of(pixels):
    """Return a function that returns a bundle's probabilities (3, K) of the pictures."""

    def run(bundle, images=pixels):
        return Session(bundle.model_path("fp32"), "cpu", "fp32").run(images)

    return run


@pytest.fixture
def original(pixels):
    """Return a function that runs a file with ONNX Runtime on pixels that `prepare` prepares.

    The default normalises as `NORMAL` says, in NCHW.
    """

    def normalised(image):
        floats = (image / 255 - np.array(MEAN)) / np.array(STD)
        return floats.astype(np.float32).transpose(2, 0, 1)[None]

    def run(file, prepare=normalised, output=None, images=pixels):
        session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        outputs = None if output is None else [output]
        rows = [np.ravel(session.run(outputs, {name: prepare(image)})[0]) for image in images]
        return np.stack(rows).astype(np.float64)

    return run
