"""The inputs and outputs of an ONNX file, without its weights."""

import contextlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.errors import NotAModel
from app.uploads import OnnxOutline, Value


@pytest.fixture
def outline(tmp_path):
    def read(data):
        path = tmp_path / "model.onnx"
        path.write_bytes(data)
        return OnnxOutline.of_file(path)

    return read


def model(weights=(4, 3)):
    """Return a model whose weights are an input, too, as old exporters write it."""
    value = helper.make_tensor_value_info
    weight = numpy_helper.from_array(np.zeros(weights, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)],
        "g",
        [value("x", TensorProto.FLOAT, ["N", None, 3]), value("w", TensorProto.FLOAT, weights)],
        [value("y", TensorProto.FLOAT16, ["N", 4])],
        [weight],
    )
    return helper.make_model(graph)


def test_inputs_and_outputs_are_read(outline, imagenet):
    found = outline(model().SerializeToString())
    assert found.inputs == [Value("x", "float32", ["N", None, 3])]
    assert found.outputs == [Value("y", "float16", ["N", 4])]
    own = outline((imagenet / "model.onnx").read_bytes())
    assert [(value.name, value.type) for value in own.inputs] == [("image", "uint8")]
    assert "probabilities" in [value.name for value in own.outputs]


def test_weights_in_another_file_are_refused(outline):
    made = model()
    onnx.external_data_helper.set_external_data(made.graph.initializer[0], "w.bin")
    with pytest.raises(NotAModel, match="as one file"):
        outline(made.SerializeToString())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"\x00" * 100,
        b"\x0a" * 100,
        b"\xff" * 100,
        b"\x3a\xff\xff\xff\xff\x0f",
        b"\x08\x07",
    ],
)
def test_other_files_are_refused(outline, data):
    with pytest.raises(NotAModel, match="neither an ONNX file nor a zip"):
        outline(data)


def test_any_damage_gives_an_outline_or_the_error(outline):
    data = model().SerializeToString()
    for at in range(len(data)):
        for damaged in (data[:at], data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]):
            with contextlib.suppress(NotAModel):
                outline(damaged)


def test_the_work_is_limited(outline):
    with pytest.raises(NotAModel):
        outline(b"\x08\x07" * 1_100_000)
