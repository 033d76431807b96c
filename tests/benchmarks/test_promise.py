"""benchmarks/promise.py and label_audit.py, with few photos."""

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import label_audit, promise
from training.label_audit import suspects


@pytest.fixture
def embeddings():
    rng = np.random.default_rng(0)
    truth = np.arange(240) % 2
    return rng.normal(size=(240, 4)) + 2.5 * np.eye(4)[truth], truth


def test_every_promise_has_a_row(embeddings, tmp_path):
    cache = tmp_path / "embeddings.npz"
    np.savez(cache, *embeddings)
    options = ["--splits", "2", "--photos", "100", "--precisions", "0.8", "--cache", str(cache)]
    result = CliRunner().invoke(promise.main, [str(tmp_path), *options])
    assert result.exit_code == 0, result.output
    assert "240 photos, 2 classes; thresholds from 100" in result.output
    assert "| 0.8 | train | 2 of 2 (100.0 %)" in result.output
    assert "| 0.8 | calibrate | " in result.output


def test_replaced_labels_are_among_the_first_suspects(embeddings):
    rows, truth = embeddings
    given, flipped = label_audit.flip(truth, 0.05, 0)
    assert (given != truth).sum() == len(flipped) == 12
    found = suspects(label_audit.predict(rows, given, np.arange(240), 0), given)
    assert len({each.index for each in found[:18]} & set(flipped.tolist())) >= 8


def test_thresholds_by_class_are_compared_with_one_for_all(embeddings):
    lines = list(promise.class_table(*embeddings, 2, 40, [0.8]))
    assert len(lines) == 2 + 4
    assert lines[2].startswith("| 0.8 | 40 | one | 0.0 |")
