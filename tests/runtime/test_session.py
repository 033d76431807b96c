"""A device is a promise."""

import numpy as np
import onnxruntime as ort
import pytest

from app import bundle as bundles
from app.errors import DeviceUnavailable
from app.runtime.session import Session, choose_device, saturates_int8
from app.runtime.verify import run_golden

no_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="CUDA is here"
)


def test_cpu_is_cpu():
    assert (choose_device("cpu").device, choose_device("cpu").note) == ("cpu", None)


@no_cuda
def test_cuda_that_cannot_be_had_is_an_error_with_its_reason():
    words = r"no CUDA provider; install the `gpu` extra, or choose --device cpu\."
    with pytest.raises(DeviceUnavailable, match=words):
        choose_device("cuda")


@no_cuda
def test_auto_falls_back_and_says_so():
    choice = choose_device("auto")
    assert choice.device == "cpu"
    assert choice.note.startswith("auto fell back to the CPU: the installed ONNX Runtime has no")


@pytest.mark.parametrize("asked", ["auto", "cuda"])
def test_a_provider_that_is_listed_but_does_not_load_is_no_cuda(monkeypatch, asked):
    """ONNX Runtime lists what it was built with, and falls back without a word."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])

    class OnCpu:
        def __init__(self, *args, **kwargs):
            pass

        def get_providers(self):
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(ort, "InferenceSession", OnCpu)
    if asked == "auto":
        assert "does not load on this machine" in choose_device("auto").note
    else:
        with pytest.raises(DeviceUnavailable, match="does not load on this machine"):
            choose_device("cuda")


def test_a_session_that_landed_on_the_cpu_instead_is_refused(make_bundle, monkeypatch):
    bundle = make_bundle()
    real, asked = ort.InferenceSession, []

    def lands_on_cpu(path, options, providers):
        asked.extend(providers)
        return real(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(ort, "InferenceSession", lands_on_cpu)
    with pytest.raises(DeviceUnavailable, match=r"loaded model.onnx on the CPU instead"):
        Session(bundle.model_path("fp32"), "cuda", "fp32")
    assert asked == [("CUDAExecutionProvider", {"use_tf32": "0"})]


def test_int8_gives_its_golden_photos_their_probabilities_on_any_processor(imagenet):
    bundle = bundles.load(imagenet)
    results = run_golden(Session(bundle.model_path("int8"), "cpu", "int8"), bundle)
    assert all(result.passed for result in results), results


def test_a_processor_that_saturates_gives_the_sum_that_16_bits_hold(monkeypatch):
    class Saturating:
        def __init__(self, *_, **__): ...
        def run(self, *_):
            return (np.array([[2 * 32767]]),)

    monkeypatch.setattr(ort, "InferenceSession", Saturating)
    assert saturates_int8()
    monkeypatch.setattr(Saturating, "run", lambda *_: (np.array([[4 * 255 * 127]]),))
    assert not saturates_int8()
