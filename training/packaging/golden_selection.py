"""Photos of the test split -> the golden photos of a bundle.

Of each class, up to six classes: the photo that the model is surest of, and where there are few
classes also one that it is less sure of, since a sure answer hardly moves when arithmetic is
wrong. They are written as JPEGs of the canvas, small and without metadata.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app import vision
from training.data.examples import Examples
from training.data.photo_files import LIMITS

_MOST = 6
_LESS_SURE = 0.9
_QUALITY = 88


def pick(examples: Examples, probabilities: NDArray[np.floating]) -> list[int]:
    """Indices of at most six photos of the test split, each answered rightly where there is one.

    Args:
        examples: with a test split.
        probabilities: (T, K) of the test split.
    """
    tested = examples.of("test")
    classes = np.unique(examples.truth[tested])
    classes = classes[np.linspace(0, len(classes) - 1, min(_MOST, len(classes))).astype(int)]
    picks = []
    for label in classes:
        of_class = examples.truth[tested] == label
        own, sure = tested[of_class], probabilities[of_class, label]
        picks.append(int(own[sure.argmax()]))
        less_sure = int(own[np.abs(sure - _LESS_SURE).argmin()])
        if 2 * len(classes) <= _MOST and less_sure not in picks:
            picks.append(less_sure)
    return picks


def write(examples: Examples, picks: Sequence[int], folder: Path) -> dict[str, str]:
    """Write the photos into `folder`; by file name, where each comes from."""
    folder.mkdir()
    sources = {}
    for number, index in enumerate(picks, 1):
        file = examples.photos[index].file
        canvas = vision.decode(file.path.read_bytes(), LIMITS).canvas
        name = f"{number}.jpg"
        Image.fromarray(canvas).save(folder / name, "JPEG", quality=_QUALITY, optimize=True)
        sources[name] = f"{examples.data}/{file.name}, its centre square at 480x480"
    return sources
