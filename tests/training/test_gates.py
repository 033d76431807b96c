"""The gates: parity, int8 against fp32, and the confidence limit of few photos."""

from types import SimpleNamespace

import numpy as np
import pytest

from training.gates import Int8Result, compare_int8, int8_drop, upper_limit

PASSING = {
    "images": 1500,
    "labelled": 100,
    "top1_fp32": 0.9,
    "top1_int8": 0.9,
    "agreement": 0.95,
    "drop": 0.002,
    "fp32_ms": 10.0,
    "int8_ms": 5.0,
    "speedup": 2.0,
}


def test_an_int8_graph_that_is_as_accurate_and_faster_passes():
    assert Int8Result(**PASSING).failures == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"images": 999}, "999 photos, and 1000 are needed"),
        ({"drop": 0.011}, "loses 1.10 points"),
        ({"drop": float("nan")}, "loses nan points"),
        ({"speedup": 0.8}, "1.25 times as long"),
    ],
    ids=["too few photos", "less accurate", "not a number", "slower"],
)
def test_an_int8_graph_fails_with_a_reason(change, reason):
    (miss,) = Int8Result(**{**PASSING, **change}).failures
    assert reason in miss


@pytest.mark.parametrize(
    ("drop", "words"),
    [
        (0.0031, "loses 0.31 points of top-1"),
        (-0.0043, "gains 0.43 points of top-1"),
        (0.0, "keeps its top-1"),
        (-0.00004, "keeps its top-1"),
        (0.00006, "loses 0.01 points of top-1"),
    ],
)
def test_a_loss_and_a_gain_are_called_so(drop, words):
    assert Int8Result(**{**PASSING, "drop": drop}).loss_or_gain == words


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"images": 299, "lost": 0}, "299 photos, and 300 are needed"),
        ({"images": 400, "lost": 1}, "loses 1 of 400 photos, which may be 1.18 %"),
        ({"images": 1500, "lost": 40, "drop": 0.02}, "loses 2.00 points"),
    ],
    ids=["too few", "too few for the limit", "enough for the drop alone"],
)
def test_with_few_photos_the_confidence_limit_must_be_within_the_drop(change, reason):
    (miss,) = Int8Result(**{**PASSING, **change}).failures
    assert reason in miss


@pytest.mark.parametrize(
    "change", [{"images": 300, "lost": 0}, {"images": 500, "lost": 1}], ids=["none", "one"]
)
def test_hundreds_of_photos_with_hardly_a_loss_pass(change):
    assert Int8Result(**{**PASSING, **change}).failures == []


def test_the_upper_limit_is_the_binomial_one():
    assert upper_limit(750, 7500) == pytest.approx(0.1059, abs=2e-4)
    assert upper_limit(5, 5) == 1
    assert upper_limit(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert upper_limit(3, 100) == pytest.approx(0.0757, abs=1e-4)  # Clopper and Pearson's table


def test_labelled_photos_count_by_right_and_wrong():
    fp32 = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    int8 = np.array([[0.9, 0.1], [0.4, 0.6], [0.6, 0.4], [0.3, 0.7]])
    # right to right, right to wrong, right to wrong, wrong to right
    assert int8_drop(fp32, int8, np.array([0, 0, 1, 1])) == 0.25


@pytest.mark.parametrize(
    ("fp32", "int8", "lost"),
    [
        ([0.9, 0.1], [0.6, 0.4], 0.0),
        ([0.51, 0.49], [0.4, 0.6], 0.02),
        ([0.95, 0.05], [0.1, 0.9], 0.9),
    ],
    ids=["agreement costs nothing", "a near tie little", "a certain label a lot"],
)
def test_a_photo_without_label_counts_by_fp32s_own_probabilities(fp32, int8, lost):
    no_labels = np.array([], np.intp)
    assert int8_drop(np.array([fp32]), np.array([int8]), no_labels) == pytest.approx(lost)


def test_a_comparison_runs_both_graphs_on_every_photo_in_turn():
    order = []

    def graph(name, probabilities):
        def run(images):
            order.append(name)
            return np.array([probabilities])

        return SimpleNamespace(run=run)

    result = compare_int8(
        graph("fp32", [0.7, 0.3]),
        graph("int8", [0.4, 0.6]),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.array([0]),
    )
    assert order == ["fp32", "int8", "int8", "fp32"]
    assert (result.images, result.labelled, result.agreement) == (2, 1, 0.0)
    assert (result.top1_fp32, result.top1_int8) == (1.0, 0.0)
    assert result.drop == pytest.approx((1 + 0.4) / 2)
