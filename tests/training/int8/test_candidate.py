"""The photos of an int8 graph are drawn by a seed, and a graph that misses a gate is removed."""

import numpy as np
import pytest

from app.errors import ModelOutputInvalid
from training import gates
from training.int8 import candidate
from training.int8.candidate import Comparison

TRUTH = np.arange(10) % 2


@pytest.mark.parametrize(
    ("count", "most", "sizes"),
    [(450, 200, (100, 200)), (450, None, (100, 350)), (9, 200, (4, 5))],
    ids=["capped", "all others", "few photos"],
)
def test_calibration_set_and_holdout_are_disjoint(count, most, sizes):
    calibration_set, holdout = candidate.split(count, 0, most)
    assert (len(calibration_set), len(holdout)) == sizes
    assert not set(calibration_set) & set(holdout)
    assert (np.diff(calibration_set) > 0).all()
    assert (np.diff(holdout) > 0).all()


def test_a_seed_fixes_the_photos_that_are_drawn():
    photos = np.arange(100, 200)
    first, again, other = (candidate.sample(photos, 20, seed) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() == sorted(set(first.tolist()))
    assert first.tolist() != other.tolist()
    assert set(first) <= set(photos)


class _Comparison:
    """A stand-in for Comparison with a fixed result."""

    def __init__(self, speedup, predict):
        self.speedup, self.predict = speedup, predict

    def run(self, fp32, int8):
        probabilities = np.eye(2)[TRUTH]
        seconds = np.tile([self.speedup, 1.0], (10, 1))
        return gates.int8_result(probabilities, probabilities, TRUTH, seconds)


@pytest.mark.parametrize(
    ("speedup", "predict", "line"),
    [
        (0.5, None, "0.50 times as fast; it is left out: it takes 2.00 times as long as fp32"),
        (0.5, len, "int8 is left out: it takes 2.00 times as long as fp32"),
        (2.0, len, "it is left out: it was compared on 10 photos, and 300 are needed"),
    ],
    ids=["slower", "slower, timed first", "too few photos"],
)
def test_a_graph_that_misses_a_gate_is_removed_with_the_reason(tmp_path, speedup, predict, line):
    (tmp_path / "model.int8.onnx").write_bytes(b"graph")
    comparison = _Comparison(speedup, predict)
    result = candidate.keep_if_it_passes(tmp_path / "model.int8.onnx", None, "session", comparison)
    assert result.session is None
    assert result.line.endswith(line)
    assert list(tmp_path.iterdir()) == []


class _Invalid:
    """A stand-in for Comparison in which the graph of one precision returns NaN."""

    def __init__(self, precision):
        self.precision = precision

    def run(self, fp32, int8):
        raise ModelOutputInvalid("A graph returned NaN.", precision=self.precision)


def test_an_int8_graph_that_returns_nan_is_removed(tmp_path):
    file = tmp_path / "model.int8.onnx"
    file.write_bytes(b"graph")
    result = candidate.keep_if_it_passes(file, None, None, _Invalid("int8"))
    assert (result.session, result.result) == (None, None)
    assert result.line == "int8 is left out: it returns NaN or infinity for a photo"
    assert not file.exists()


def test_an_fp32_graph_that_returns_nan_ends_the_training(tmp_path):
    with pytest.raises(ModelOutputInvalid):
        candidate.keep_if_it_passes(tmp_path / "model.int8.onnx", None, None, _Invalid("fp32"))


def test_with_too_few_photos_nothing_is_made(tmp_path):
    pixels = np.zeros((10, 8, 8, 3), np.uint8)
    comparison = Comparison(pixels, np.arange(10), TRUTH)
    result = candidate.make(tmp_path, None, pixels, comparison, min_holdout=11)
    assert (result.session, result.result) == (None, None)
    assert result.line == "int8 is left out: there are fewer than 300 photos to compare it on"
    assert list(tmp_path.iterdir()) == []
