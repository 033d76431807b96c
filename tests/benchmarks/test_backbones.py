"""The comparison of backbones, on made-up embeddings."""

import numpy as np

from benchmarks.backbones import Embedded, predict


def test_each_photo_is_predicted_once_in_each_way():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 40)
    side = rng.choice([-1, 1], 80)  # the photos show the object from the left or from the right
    plain = np.stack([side * (1 + truth), rng.normal(size=80), np.ones(80)], axis=1)
    right = predict(
        Embedded(
            plain.astype(np.float32),
            (plain * [-1, 1, 1]).astype(np.float32),
            truth,
            np.arange(80),
        )
    )
    assert set(right) == {"plain", "mirrored", "selected"}
    assert all(len(values) == 80 for values in right.values())
