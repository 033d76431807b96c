"""Fixtures of the inspection tests: models, golden pixels, small graphs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app import vision
from app.runtime.inspection import Inspector
from app.runtime.loaded_model import Model, load_model

LIMITS = vision.Limits(max_bytes=10_000_000, max_pixels=50_000_000)
SIZE, CLASSES = 32, 3


@pytest.fixture
def inspector() -> Inspector:
    return Inspector(LIMITS, deadline_s=10)


@pytest.fixture
def textbook_model(make_bundle, textbook) -> Model:
    return load_model(make_bundle(name="textbook", graph=textbook).folder, "cpu")


@pytest.fixture(scope="module")
def default_model(imagenet) -> Model:
    return load_model(imagenet, "cpu", "fp32")


@pytest.fixture(scope="module")
def pixels(imagenet, default_model):
    """(photos, S, S, 3): the golden photos as the default model reads them."""

    def read(file: Path):
        picture = vision.decode(file.read_bytes(), LIMITS)
        return vision.resize(picture, default_model.manifest.input)

    return np.stack([read(file) for file in sorted((imagenet / "golden").glob("*.jpg"))])


@pytest.fixture
def convolutional() -> Callable[..., onnx.ModelProto]:
    """Return a builder of classifiers: a convolution `c` [N, 4, 30, 30], then given nodes."""

    def build(nodes, constants) -> onnx.ModelProto:
        first = [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["float"], ["x"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["x", "w"], ["c"]),
        ]
        filters = np.random.default_rng(0).normal(0, 0.0004, (4, 3, 3, 3))
        filters[range(3), range(3)] += 1 / 9 / 50  # red, green and blue
        arrays = {
            "w": filters,
            **{name: np.asarray(value) for name, value in constants.items()},
        }
        floats = {
            name: value.astype(np.float32) if value.dtype.kind == "f" else value
            for name, value in arrays.items()
        }
        graph = helper.make_graph(
            [*first, *nodes],
            "convolutional",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", CLASSES])],
            [numpy_helper.from_array(value, name) for name, value in floats.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    return build
