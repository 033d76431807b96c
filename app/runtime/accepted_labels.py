"""The decisions of a multi-label model: about each label of a photo, and about the photo.

probability >= the label's threshold                   the label is accepted
a probability in its label's band in `undecided`       the photo's decision is unsure
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from app.bundle import Manifest


def accepted_labels(probabilities: NDArray[np.floating], manifest: Manifest) -> NDArray[np.bool_]:
    """Return which labels (…, K) of a multi-label model are accepted, by their probabilities."""
    thresholds, _, _ = _bounds(manifest.thresholds, manifest.undecided)
    return np.asarray(probabilities >= thresholds)


def predicted_labels(probabilities: NDArray[np.floating], manifest: Manifest) -> list[int]:
    """Return the indices of a photo's labels: the most probable, or of several the accepted."""
    if manifest.task == "multi_label":
        return accepted_labels(probabilities, manifest).nonzero()[0].tolist()
    return [int(probabilities.argmax())]


def is_undecided(probabilities: NDArray[np.floating], manifest: Manifest) -> bool:
    """Return whether a photo's probability (K,) of any label lies in that label's band."""
    _, low, high = _bounds(manifest.thresholds, manifest.undecided)
    return bool(((low <= probabilities) & (probabilities < high)).any())


@lru_cache
def _bounds(
    thresholds: tuple[float, ...] | None, undecided: tuple[tuple[float, float], ...] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return thresholds, lower and upper ends of the bands, (K,) each, of the manifest's fields."""
    assert thresholds is not None
    assert undecided is not None
    low, high = np.array(undecided, np.float32).T
    return np.array(thresholds, np.float32), low, high
