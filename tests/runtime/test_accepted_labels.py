"""The decisions of a multi-label model follow its thresholds and its undecided bands."""

import numpy as np
import pytest

from app.runtime.accepted_labels import accepted_labels, is_undecided


@pytest.fixture
def manifest(make_bundle):
    return make_bundle(labels=("cat", "dog"), thresholds=(0.5, 0.9)).manifest


@pytest.mark.parametrize(
    ("probabilities", "accepted", "undecided"),
    [
        pytest.param([0.99, 0.95], [True, True], False, id="both"),
        pytest.param([0.1, 0.1], [False, False], False, id="none"),
        pytest.param([0.5, 0.01], [True, False], True, id="in-the-band-of-cat"),
        pytest.param([0.7, 0.7], [True, False], True, id="below-the-promise-of-dog"),
        pytest.param([0.7, 0.9], [True, True], False, id="from-the-threshold"),
    ],
)
def test_each_label_is_decided_by_itself(manifest, probabilities, accepted, undecided):
    row = np.array(probabilities, np.float32)
    assert accepted_labels(row, manifest).tolist() == accepted
    assert is_undecided(row, manifest) == undecided


def test_rows_of_photos_are_decided_together(manifest):
    rows = np.array([[0.99, 0.95], [0.1, 0.1]], np.float32)
    assert accepted_labels(rows, manifest).tolist() == [[True, True], [False, False]]
