"""benchmarks/comparison.py, on made-up embeddings of two classes that are easy to tell apart."""

import numpy as np
import pytest

from benchmarks.comparison import retrain, summary


@pytest.mark.parametrize(("scenario", "verdicts"), [("again", {"not_worse"}), ("wrong", {"worse"})])
def test_a_retraining_is_judged(scenario, verdicts):
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1], 100)
    embeddings = rng.normal(0, 1, (200, 8)) + 4 * classes[:, np.newaxis]
    result = retrain(scenario, embeddings.astype(np.float32), classes, 40, rng)
    assert {result.verdict(0.05)} == verdicts
    assert (result.true_difference < -0.05) == (scenario == "wrong")
    (line, *_) = summary([result], 0.05)
    assert line.startswith(f"| {scenario} | 1 | ")
