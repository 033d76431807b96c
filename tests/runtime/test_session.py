"""A session runs on the device that was requested, or is refused."""

import numpy as np
import onnxruntime
import pytest

from app import bundle as bundles
from app.errors import DeviceUnavailable
from app.runtime.session import Session, choose_device
from app.runtime.verify import run_golden

no_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is here"
)


def test_the_device_cpu_is_used_without_a_note():
    assert (choose_device("cpu").device, choose_device("cpu").note) == ("cpu", None)


@no_cuda
def test_cuda_that_is_unavailable_is_an_error_with_its_reason():
    words = r"no CUDA provider; install the `gpu` extra, or choose --device cpu\."
    with pytest.raises(DeviceUnavailable, match=words):
        choose_device("cuda")


@no_cuda
def test_auto_falls_back_to_the_cpu_with_a_note():
    choice = choose_device("auto")
    assert choice.device == "cpu"
    assert choice.note.startswith("auto fell back to the CPU: the installed ONNX Runtime has no")


@pytest.mark.parametrize("requested", ["auto", "cuda"])
def test_a_provider_that_is_listed_but_does_not_load_is_no_cuda(monkeypatch, requested):
    """ONNX Runtime lists the providers it was built with, and falls back silently."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])

    class OnCpu:
        def __init__(self, *args, **kwargs):
            pass

        def get_providers(self):
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "InferenceSession", OnCpu)
    if requested == "auto":
        assert "does not load on this machine" in choose_device("auto").note
    else:
        with pytest.raises(DeviceUnavailable, match="does not load on this machine"):
            choose_device("cuda")


def test_a_session_that_falls_back_to_the_cpu_is_refused(make_bundle, monkeypatch):
    bundle = make_bundle()
    real, requested = onnxruntime.InferenceSession, []

    def fall_back_to_cpu(path, options, providers):
        requested.extend(providers)
        return real(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", fall_back_to_cpu)
    with pytest.raises(DeviceUnavailable, match=r"loaded model.onnx on the CPU instead"):
        Session(bundle.model_path("fp32"), "cuda", "fp32")
    assert requested == [("CUDAExecutionProvider", {"use_tf32": "0"})]


def test_int8_reproduces_its_golden_probabilities_on_any_processor(imagenet):
    bundle = bundles.load(imagenet)
    results = run_golden(Session(bundle.model_path("int8"), "cpu", "int8"), bundle)
    assert all(result.passed for result in results), results


class Recording:
    """A stand-in for ONNX Runtime's session that records its runs."""

    def __init__(self, name, runs):
        self._name, self._runs = name, runs

    def run(self, names, inputs):
        self._runs.append(self._name)
        return [np.zeros((1, 3), np.float32)]

    def get_providers(self):
        return ["CPUExecutionProvider"]


def test_a_run_on_all_cores_takes_the_multi_threaded_session(monkeypatch, tmp_path):
    runs = []
    pair = Recording("single-threaded", runs), Recording("multi-threaded", runs)
    monkeypatch.setattr("app.runtime.ort.single_and_multi_threaded", lambda path, cores: pair)
    session = Session(tmp_path / "model.onnx", "cpu", "fp32", cores=2)
    image = np.zeros((1, 32, 32, 3), np.uint8)
    session.run(image)
    session.run(image, all_cores=True)
    assert runs == ["single-threaded", "multi-threaded"]


def test_one_core_needs_one_session(make_bundle, monkeypatch):
    def never(path, cores):
        pytest.fail("two sessions were opened")

    monkeypatch.setattr("app.runtime.ort.single_and_multi_threaded", never)
    session = Session(make_bundle().model_path("fp32"), "cpu", "fp32", cores=1)
    image = np.zeros((1, 32, 32, 3), np.uint8)
    assert np.array_equal(session.run(image), session.run(image, all_cores=True))
