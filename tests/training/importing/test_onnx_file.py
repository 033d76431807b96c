"""The order of questions: is it ONNX at all, can ONNX Runtime read it, does it need more."""

import io
import json
import pickle
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.bundle import load


def _zip(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def _safetensors():
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4)


FILES = {
    "empty": (b"", "an empty file"),
    "text": (b"no model at all", "a text"),
    "labels": (b"cat\ndog\n", "a text"),
    "json": (b'{"id2label": {}}', "a JSON file"),
    "torch zip": (
        _zip(**{"model__data.pkl": b"x", "model__version": b"3"}),
        "a PyTorch checkpoint",
    ),
    "torch legacy": (pickle.dumps("torch.nn"), "a PyTorch checkpoint"),
    "pickle": (pickle.dumps([1, 2]), "a Python pickle"),
    "h5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "a Keras model"),
    "keras": (_zip(**{"config.json": b"{}", "model.weights.h5": b""}), "a Keras model"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(64), "a TensorFlow Lite model"),
    "ort": (b"\x1c\0\0\0ORTM" + bytes(64), "ONNX Runtime's own format"),
    "zip": (_zip(**{"model.onnx": b"x"}), "an archive"),
    "broken zip": (b"PK\x03\x04" + bytes(40), "a broken archive"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "an archive"),
    "html": (b"\n<!DOCTYPE html>\n<html>", "a web page"),
    "html, lower case": (b"<html><head>", "a web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS"),
    "safetensors": (_safetensors(), "safetensors"),
    "saved model": (b"\x08\x01\x12\x0f\x0a\x07\x12\x05serve" + bytes(9), "a TensorFlow SavedModel"),
    "openvino": (b"<?xml version='1.0'?><net>", "an XML file"),
    "npz": (_zip(**{"w.npy": b"x"}), "a NumPy array"),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(40), "a picture"),
    "cut off": (b"\x08\x08\x12\xff\x01pytorch", "no ONNX file, or it was cut off"),
    "protobuf without a graph": (b"\x08\x08", "holds no graph"),
}


@pytest.mark.parametrize("name", FILES)
def test_is_it_onnx_at_all_comes_first(run_import, tmp_path, labels, name):
    content, words = FILES[name]
    (tmp_path / "model.onnx").write_bytes(content)
    labels.write_bytes(b"\xff")  # the labels and the normalisation are questions for later
    result = run_import(tmp_path / "model.onnx", normal=())
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def _opset(version, domain=""):
    def change(model):
        del model.opset_import[:]
        model.opset_import.append(helper.make_opsetid(domain, version))

    return change


def _ir(model):
    model.ir_version = 99


def _custom(model):
    model.graph.node[1].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def _custom_inside_a_branch(model):
    branch = helper.make_graph(
        [helper.make_node("Sharpen", [], ["sharp"], domain="my.ops")], "branch", [], []
    )
    node = helper.make_node("If", ["condition"], ["unused"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)


def _unknown(model):
    model.graph.node[1].op_type = "Relulu"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_ir, "the IR version 99, which is newer than this ONNX Runtime reads (up to 1"),
        (_opset(99), "the opset 99, which is newer than this ONNX Runtime reads"),
        (_opset(300, "ai.onnx"), "the opset 300, which is newer than this ONNX Runtime reads"),
        (_custom, "the custom operator 'Relu' of 'com.example'"),
        (_custom_inside_a_branch, "the custom operator 'Sharpen' of 'my.ops'"),
        (_unknown, "ONNX Runtime can't run the model"),
    ],
    ids=["ir", "opset", "opset of ai.onnx", "custom", "custom in a branch", "unknown operator"],
)
def test_a_file_that_onnx_runtime_cannot_read_is_refused(
    saved, run_import, tmp_path, change, words
):
    result = run_import(saved(change))
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "mine").exists()


def _last_nodes_first(model):
    nodes = [node.SerializeToString() for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(map(onnx.NodeProto.FromString, reversed(nodes)))


def _cast_at_the_end(model):
    """Read the input through a Cast that stands last, as a float16 converter writes it."""
    name = model.graph.input[0].name
    model.graph.node[0].input[0] = "graph_input_cast_0"
    cast = helper.make_node("Cast", [name], ["graph_input_cast_0"], to=TensorProto.FLOAT)
    model.graph.node.append(cast)


def _read_by_a_branch_only(model):
    """Move the last node into both branches of an If that stands first."""
    last = model.graph.node.pop()
    inner = helper.make_node("Identity", [last.input[0]], ["inner"])
    output = helper.make_empty_tensor_value_info("inner")
    branch = helper.make_graph([inner], "branch", [], [output])
    condition = numpy_helper.from_array(np.array(True), "condition")
    model.graph.initializer.append(condition)
    node = helper.make_node(
        "If", ["condition"], [last.output[0]], then_branch=branch, else_branch=branch
    )
    model.graph.node.insert(0, node)


@pytest.mark.parametrize("change", [_last_nodes_first, _cast_at_the_end, _read_by_a_branch_only])
def test_nodes_may_stand_in_any_order(saved, imported, outputs_of, original, change):
    file = saved(change)
    bundle = imported(file)
    assert outputs_of(bundle) == pytest.approx(original(file), abs=1e-5)


def test_missing_weights_are_named(saved, run_import, tmp_path):
    file = saved()
    onnx.save(
        onnx.load(file), file, save_as_external_data=True, size_threshold=0, location="weights"
    )
    (tmp_path / "weights").unlink()
    result = run_import(file)
    assert result.exit_code == 2
    assert "weights must lie beside it" in result.stderr


def test_weights_outside_the_folder_are_refused(saved, run_import):
    file = saved()
    model = onnx.load(file)
    onnx.external_data_helper.convert_model_to_external_data(model, size_threshold=0)
    for tensor in model.graph.initializer:
        onnx.external_data_helper.set_external_data(tensor, "../../etc/hostname")
        tensor.ClearField("raw_data")
    file.write_bytes(model.SerializeToString())
    result = run_import(file)
    assert result.exit_code == 2
    assert "can't be read" in result.stderr


def test_weights_in_several_files_are_included(saved, imported, outputs_of, original, tmp_path):
    file = saved()
    (tmp_path / "split").mkdir()
    split = tmp_path / "split" / "model.onnx"
    onnx.save(
        onnx.load(file),
        split,
        save_as_external_data=True,
        all_tensors_to_one_file=False,
        size_threshold=0,
    )
    bundle = imported(split)
    assert outputs_of(bundle) == pytest.approx(original(file), abs=1e-5)
    assert {path.name for path in load(bundle.folder).folder.iterdir()} >= {"model.onnx"}
