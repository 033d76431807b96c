"""Sessions and their options, the pair that shares one graph, and the probes."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from app.runtime import ort
from app.runtime.ort import single_and_multi_threaded, single_threaded


@pytest.fixture(scope="module")
def pixels():
    """(4, 240, 240, 3) uint8."""
    return np.random.default_rng(3).integers(0, 256, (4, 240, 240, 3), np.uint8)


def run(session, images):
    return session.run(["probabilities"], {"image": images})[0]


@pytest.mark.parametrize("file", ["model.onnx", "model.int8.onnx"])
@pytest.mark.parametrize("images", [1, 4])
def test_both_sessions_of_a_pair_equal_the_plain_file(imagenet, pixels, file, images):
    plain = single_threaded(imagenet / file, ort.CPU)
    for session in single_and_multi_threaded(imagenet / file, 3):
        actual, expected = run(session, pixels[:images]), run(plain, pixels[:images])
        assert np.abs(actual - expected).max() < 1e-5


def test_both_sessions_of_a_pair_run_concurrently(imagenet, pixels):
    pair = single_and_multi_threaded(imagenet / "model.onnx", 2)
    expected = [run(pair[0], pixels[i : i + 1]) for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        actual = list(pool.map(lambda i: run(pair[i % 2], pixels[i // 2 % 4][None]), range(32)))
    for i, probabilities in enumerate(actual):
        assert np.abs(probabilities - expected[i // 2 % 4]).max() < 1e-5


def mapped_weights() -> set[str]:
    """Return the inodes of the weights that this process has mapped; other tests may hold some."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.split()[4] for line in lines if "hubel-" in line}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system has no /proc")
def test_the_weights_are_mapped_once_and_leave_no_file(imagenet, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = mapped_weights()
    pair = single_and_multi_threaded(imagenet / "model.onnx", 2)
    assert len(mapped_weights() - before) == 1
    assert list(tmp_path.iterdir()) == []
    assert len(pair) == 2


def test_without_a_temporary_folder_each_session_has_its_own_weights(
    imagenet, pixels, monkeypatch, caplog
):
    def refuse(**_):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(ort, "TemporaryDirectory", refuse)
    single, multi = single_and_multi_threaded(imagenet / "model.onnx", 2)
    assert np.abs(run(single, pixels[:1]) - run(multi, pixels[:1])).max() < 1e-5
    assert "takes twice the memory" in caplog.text


def test_on_a_full_disk_each_session_has_its_own_weights(imagenet, pixels, monkeypatch, caplog):
    def fail(path, folder):
        raise RuntimeError("Failed to write external initializers")  # ONNX Runtime's message

    monkeypatch.setattr(ort, "_optimise", fail)
    single, multi = single_and_multi_threaded(imagenet / "model.onnx", 2)
    assert np.abs(run(single, pixels[:1]) - run(multi, pixels[:1])).max() < 1e-5
    assert "takes twice the memory" in caplog.text


def test_threads_stop_spinning_when_their_run_ends(make_bundle):
    for session in single_and_multi_threaded(make_bundle().model_path("fp32"), 2):
        options = session.get_session_options()
        assert options.get_session_config_entry("session.force_spinning_stop") == "1"
        assert (
            options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        )


@pytest.mark.parametrize("threads", [None, 1])
def test_a_session_for_looking_into_a_graph_reads_a_file_or_its_bytes(make_bundle, threads):
    file = make_bundle().model_path("fp32")
    image = np.full((1, 32, 32, 3), 200, np.uint8)
    rows = []
    for graph in (file, file.read_bytes()):
        session = ort.open_session(graph, threads=threads)
        assert session.get_session_options().intra_op_num_threads == (threads or 0)
        assert session.get_providers() == [ort.CPU]
        rows.append(run(session, image))
    assert np.array_equal(*rows)


def test_a_processor_that_saturates_returns_the_sum_that_16_bits_hold(monkeypatch):
    class Saturating:
        def __init__(self, *_, **__): ...
        def run(self, *_):
            return (np.array([[2 * 32767]]),)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Saturating)
    assert ort.saturates_int8()
    monkeypatch.setattr(Saturating, "run", lambda *_: (np.array([[4 * 255 * 127]]),))
    assert not ort.saturates_int8()


def model_bytes(name, node, input_value, output_value, constants=()):
    graph = helper.make_graph([node], name, [input_value], [output_value], list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    return model.SerializeToString()


def test_the_probe_of_a_provider_is_a_relu_of_one_float():
    value = helper.make_tensor_value_info
    node = helper.make_node("Relu", ["x"], ["y"])
    expected = model_bytes(
        "probe", node, value("x", TensorProto.FLOAT, [1]), value("y", TensorProto.FLOAT, [1])
    )
    assert expected == ort._RELU_MODEL


def test_the_probe_of_saturation_multiplies_by_four_weights_of_127():
    value = helper.make_tensor_value_info
    node = helper.make_node("MatMulInteger", ["a", "w"], ["y"])
    weight = helper.make_tensor("w", TensorProto.INT8, [4, 1], b"\x7f" * 4, raw=True)
    expected = model_bytes(
        "int8",
        node,
        value("a", TensorProto.UINT8, [1, 4]),
        value("y", TensorProto.INT32, [1, 1]),
        [weight],
    )
    assert expected == ort._INT8_PRODUCT_MODEL
