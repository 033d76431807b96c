"""Refused graphs: wrong signatures, and golden photos that are missed or broken."""

import io

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from app.errors import BundleMismatch
from app.runtime.loaded_model import load_model
from app.runtime.session import Session
from app.runtime.verify import GoldenResult, require_golden, run_golden


def _renamed(model: onnx.ModelProto, old: str, new: str) -> onnx.ModelProto:
    for names in [n.input for n in model.graph.node] + [n.output for n in model.graph.node]:
        for place, name in enumerate(names):
            if name == old:
                names[place] = new
    for value in (*model.graph.input, *model.graph.output):
        if value.name == old:
            value.name = new
    return model


def _float_input(model: onnx.ModelProto) -> onnx.ModelProto:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    del model.graph.node[0]
    model.graph.node.insert(0, helper.make_node("Mul", ["image", "scale"], ["normal"]))
    return model


def _archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, np.zeros((3, 3), np.float32))
    return file.getvalue()


def _one_image_only(model: onnx.ModelProto) -> onnx.ModelProto:
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return model


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: _renamed(g(), "image", "data"), "no input 'image', only data"),
        (lambda g: _renamed(g(), "probabilities", "y"), "no output 'probabilities', only y"),
        (lambda g: _float_input(g()), r"'image' is tensor\(float\).*needs tensor\(uint8\)"),
        (lambda g: g(size=16), r"'N', 16, 16, 3\].*'N', 32, 32, 3\]"),
        (lambda g: g(classes=2), r"'probabilities' is .*'N', 2\].*'N', 3\]"),
        (lambda g: _one_image_only(g()), r"\[1, 32, 32, 3\].*'N', 32"),
    ],
    ids=["missing input", "missing output", "dtype", "size", "label count", "batch of one"],
)
def test_a_graph_of_another_signature_is_refused(make_bundle, rewrite, graph, change, words):
    folder = make_bundle().folder
    onnx.save(change(graph), folder / "model.onnx")
    rewrite(folder)
    with pytest.raises(BundleMismatch, match=words):
        load_model(folder, "cpu")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda f: np.save(f, np.zeros((3, 4), np.float32)), r"float32 \[3, 4\]; float32 \[3, 3\]"),
        (lambda f: np.save(f, np.zeros((3, 3))), r"is float64 \[3, 3\]"),
        (lambda f: f.write_bytes(b"no array"), "golden/fp32.npy can't be read"),
        (lambda f: f.write_bytes(b""), "golden/fp32.npy can't be read"),
        (lambda f: np.save(f, np.array([{}]), allow_pickle=True), "can't be read"),
        (lambda f: f.write_bytes(_archive()), "isn't a single array"),
    ],
    ids=["shape", "dtype", "garbage", "empty", "pickle", "archive"],
)
def test_unusable_expected_probabilities_are_refused(make_bundle, rewrite, write, words):
    folder = make_bundle().folder
    write(folder / "golden/fp32.npy")
    rewrite(folder)
    with pytest.raises(BundleMismatch, match=words):
        load_model(folder, "cpu")


def test_a_broken_golden_photo_is_named(make_bundle, rewrite):
    folder = make_bundle().folder
    file = folder / "golden/green.jpg"
    file.write_bytes(file.read_bytes()[:200])
    rewrite(folder)
    with pytest.raises(BundleMismatch, match=r"Golden photo golden/green.jpg: "):
        load_model(folder, "cpu")


def test_the_difference_is_the_largest_of_all_probabilities(make_bundle, rewrite):
    bundle = make_bundle()
    file = bundle.path("golden/fp32.npy")
    array = np.load(file)
    session = Session(bundle.model_path("fp32"), "cpu", "fp32")
    before = [result.difference for result in run_golden(session, bundle)]
    array[1, 2] += 0.25
    np.save(file, array)
    after = run_golden(session, bundle)
    assert [r.file for r in after] == ["golden/red.jpg", "golden/green.jpg", "golden/blue.jpg"]
    assert after[1].difference == pytest.approx(0.25, abs=before[1] + 1e-6)
    assert [after[0].difference, after[2].difference] == [before[0], before[2]]
    with pytest.raises(BundleMismatch, match=r"golden/green.jpg by 0.25 .*; 0.02 is allowed"):
        require_golden(after, session)


@pytest.mark.parametrize(
    ("difference", "passed"), [(0.0, True), (0.02, True), (0.0201, False), (float("nan"), False)]
)
def test_a_golden_photo_passes_within_its_tolerance(difference, passed):
    assert GoldenResult("a.jpg", difference, 0.02).passed is passed


def test_a_golden_photos_expected_probabilities_must_match_its_label(make_bundle, rewrite):
    bundle = make_bundle()
    swapped = [{"name": "green"}, {"name": "red"}, {"name": "blue"}]
    rewrite(bundle.folder, {"labels": swapped})
    with pytest.raises(BundleMismatch, match=r"red\.jpg has the label 'red'.* give 'green'"):
        load_model(bundle.folder, "cpu")
