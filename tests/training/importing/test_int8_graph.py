"""int8 of an imported graph: by the gates of every bundle, with the head in float."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from app.runtime.session import Session
from training import gates
from training.importing import int8_graph, onnx_file, wrap
from training.importing.image_input import read_image_input
from training.importing.normalization import Normalization
from training.importing.output_kind import OutputForm
from training.importing.preparation import prepare
from training.int8 import candidate

PLAIN = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 1)


@pytest.fixture
def exported(saved, tmp_path):
    """A folder with the fp32 graph of a small classifier, and the names of the added nodes."""
    model = onnx_file.load(saved(batch="N"))
    preparation = prepare(read_image_input(model, None, None), PLAIN, 1.0, "box")
    logits = next(node.input[0] for node in model.graph.node if node.op_type == "Softmax")
    wrapped = wrap.wrap(model, preparation, OutputForm("output", "probabilities", logits), 3)
    onnx.save(wrapped.model, tmp_path / "model.onnx")
    return tmp_path, Session(tmp_path / "model.onnx", "cpu", "fp32"), wrapped.added_nodes


def _photos(count):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return pixels * np.linspace(0.1, 1, count)[:, None, None, None] // 1


@pytest.fixture
def make_int8(exported):
    """Quantise with so many photos, whose classes are the predictions of fp32."""
    folder, fp32, own = exported

    def run(count):
        pixels = _photos(count).astype(np.uint8)
        truth = fp32.run(pixels).argmax(axis=1)
        examples = SimpleNamespace(rows=np.arange(count), label_matrix=None)
        photos = SimpleNamespace(pixels=pixels, truth=truth, examples=examples)
        return folder, *int8_graph.make(folder, fp32, own, photos, 0)

    return run


def _fast(monkeypatch, speedup):
    def run_alternately(fp32, int8, pixels):
        seconds = np.tile([speedup, 1.0], (len(pixels), 1))
        return gates.probabilities_of(fp32, pixels), gates.probabilities_of(int8, pixels), seconds

    monkeypatch.setattr(gates, "run_alternately", run_alternately)


def test_a_graph_that_passes_is_kept_and_its_head_is_float(make_int8, monkeypatch):
    _fast(monkeypatch, 2.0)
    folder, int8, message = make_int8(1300)
    assert "2.00 times as fast" in message
    assert int8.precision == "int8"
    nodes = onnx.load(folder / "model.int8.onnx").graph.node
    (gemm,) = (node for node in nodes if node.op_type == "Gemm")
    assert gemm.input[0] == "embedding"
    assert {node.op_type for node in nodes} >= {"QuantizeLinear", "DequantizeLinear"}
    names = ["probabilities", "embedding", "activation"]
    assert len(int8.outputs_of(names, _photos(2).astype(np.uint8))) == 3


def test_a_slower_graph_is_left_out(make_int8, monkeypatch):
    _fast(monkeypatch, 0.5)
    folder, int8, message = make_int8(1300)
    assert int8 is None
    assert "it is left out: it takes 2.00 times as long as fp32" in message
    assert not (folder / "model.int8.onnx").exists()


def test_with_too_few_photos_nothing_is_made(make_int8):
    folder, int8, message = make_int8(350)
    assert int8 is None
    assert message == "int8 is left out: there are fewer than 300 photos to compare it on"
    assert not (folder / "model.int8.onnx").exists()


def test_a_graph_that_cannot_be_quantised_is_left_out_with_the_reason(make_int8, monkeypatch):
    def fails(*_arguments, **_options):
        raise ValueError("no such operator")

    monkeypatch.setattr(candidate, "quantize", fails)
    _, int8, message = make_int8(450)
    assert int8 is None
    assert "the graph can't be quantised (no such operator)" in message
