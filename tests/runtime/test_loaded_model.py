"""The selection of a precision, and bundles that are refused."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BundleInvalid, BundleMismatch
from app.runtime import loaded_model as models
from app.runtime.loaded_model import MIN_INT8_SPEEDUP, candidates, load_model


def test_a_valid_bundle_loads_without_notes(make_bundle):
    model = load_model(make_bundle().folder, "cpu")
    assert (model.name, model.version, model.session.precision) == ("colours", 1, "fp32")
    assert model.notes == ()
    assert model.service_s > 0


def test_int8_that_passes_serves_on_a_cpu(make_bundle):
    model = load_model(make_bundle(int8_sharpness=8.0).folder, "cpu")
    assert model.session.precision == "int8"
    assert model.notes == ()


def test_fp32_serves_with_a_note_if_int8_misses_its_golden_photos(make_bundle):
    model = load_model(make_bundle(int8_sharpness=1.0).folder, "cpu")
    assert model.session.precision == "fp32"
    (note,) = model.notes
    assert "int8 is skipped: int8 misses its golden photo golden/" in note
    assert "0.02 is allowed" in note


@pytest.mark.parametrize(("speedup", "precision"), [(0.81, "fp32"), (1.09, "fp32"), (1.1, "int8")])
def test_without_int8_instructions_int8_is_used_only_if_it_is_fast(
    make_bundle, monkeypatch, speedup, precision
):
    monkeypatch.setattr("app.runtime.loaded_model.saturates_int8", lambda: True)
    seconds = {"fp32": speedup, "int8": 1.0}
    monkeypatch.setattr(
        "app.runtime.loaded_model._seconds", lambda session, image: seconds[session.precision]
    )
    folder = make_bundle(int8_sharpness=8.0).folder
    model = load_model(folder, "cpu")
    assert model.session.precision == precision
    if precision == "fp32":
        assert model.notes == (
            f"int8 is skipped: on this processor it is {speedup} times as fast as fp32, "
            "and 1.1 is the minimum at which it is used.",
        )
    assert load_model(folder, "cpu", "int8").session.precision == "int8"


def test_with_int8_instructions_nothing_is_timed(make_bundle, monkeypatch):
    monkeypatch.setattr("app.runtime.loaded_model._seconds", None)
    model = load_model(make_bundle(int8_sharpness=8.0).folder, "cpu")
    assert model.session.precision == "int8"


def test_a_requested_precision_is_not_replaced(make_bundle):
    folder = make_bundle(int8_sharpness=1.0).folder
    with pytest.raises(BundleMismatch, match="int8 misses its golden photo"):
        load_model(folder, "cpu", "int8")
    assert load_model(folder, "cpu", "fp32").session.precision == "fp32"


def test_a_missing_precision_is_refused(make_bundle):
    with pytest.raises(BundleMismatch, match="has no int8 graph; it has fp32"):
        load_model(make_bundle().folder, "cpu", "int8")


def test_cuda_never_serves_int8(make_bundle):
    bundle = make_bundle(int8_sharpness=8.0)
    assert candidates(bundle, "cuda", None) == ["fp32"]
    assert candidates(bundle, "cpu", None) == ["int8", "fp32"]


def test_a_bundle_that_misses_its_golden_photos_is_refused(make_bundle, rewrite, graph):
    folder = make_bundle().folder
    onnx.save(graph(sharpness=1.0), folder / "model.onnx")
    rewrite(folder)
    with pytest.raises(BundleMismatch, match=r"fp32 misses its golden photo golden/\w+.jpg by 0"):
        load_model(folder, "cpu")


def test_a_wrong_label_count_is_refused_with_both_counts(make_bundle):
    folder = make_bundle(labels=("red", "green", "blue", "grey")).folder
    words = r"output 'probabilities' is tensor\(float\) \['N', 3\].*\['N', 4\]"
    with pytest.raises(BundleMismatch, match=words):
        load_model(folder, "cpu")


@pytest.mark.parametrize("content", ["garbage", "truncated", "empty"])
def test_a_file_that_is_no_graph_is_refused_with_its_path(make_bundle, rewrite, content):
    folder = make_bundle().folder
    file = folder / "model.onnx"
    whole = file.read_bytes()
    broken = {"garbage": b"\x00\xff" * 99, "truncated": whole[: len(whole) // 2], "empty": b""}
    file.write_bytes(broken[content])
    rewrite(folder)
    with pytest.raises(BundleInvalid, match=r"model.onnx can't be loaded by ONNX Runtime \(.+\)"):
        load_model(folder, "cpu")


def test_a_changed_byte_is_detected_before_the_graph_is_opened(make_bundle):
    folder = make_bundle().folder
    file = folder / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    with pytest.raises(BundleMismatch, match=r"model.onnx has"):
        load_model(folder, "cpu")


def test_the_built_in_bundle_passes(imagenet):
    model = load_model(imagenet, "cpu")
    assert (model.name, len(model.manifest.labels)) == ("imagenet", 1000)


@given(st.lists(st.floats(0.5, 2), min_size=7, max_size=7))
def test_stopping_the_timing_early_cannot_change_the_decision(speedups):
    count = next(n for n in range(8) if models._is_settled(speedups[:n]))
    assert (np.median(speedups[:count]) >= MIN_INT8_SPEEDUP) == (
        np.median(speedups) >= MIN_INT8_SPEEDUP
    )
    assert count >= 4
