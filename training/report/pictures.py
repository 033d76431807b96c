"""Which photos a report shows, and small copies of them as data: URIs.

The mistakes are those that the model was surest of. Of each class the examples are spread from
its least to its most probable photo, so that they aren't only the easy ones.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.report import tables
from training.report.content import Content

MISTAKES = 24
EXAMPLES = 120
PER_CLASS = 6
_SIDE = 144
"""Pixels; a photo is shown at about this size."""
_QUALITY = 62
_CELLS = 240
"""On a side of the picture of a confusion matrix, at most."""
_COLOUR = (47, 125, 225)
"""Seen on light and on dark."""

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Picture:
    """A photo and what the model says of it."""

    uri: str
    name: str
    truth: str
    answer: str
    probability: float
    of_truth: float
    """The probability of its own label."""
    right: bool
    side: int
    """Pixels of the copy."""


def mistakes(content: Content) -> list[Picture]:
    """The mistakes that the model was surest of, surest first; at most 24."""
    probabilities = next(iter(content.probabilities.values()))
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != content.truth)
    order = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]
    return [_picture(content, index) for index in order[:MISTAKES].tolist()]


def examples(content: Content) -> list[list[Picture]]:
    """Photos of each class, the most probable first; classes as in `example_classes`."""
    probabilities = next(iter(content.probabilities.values()))
    shown = example_classes(content.truth)
    each = min(PER_CLASS, EXAMPLES // max(1, len(shown)))
    rows = []
    for label in shown.tolist():
        own = np.flatnonzero(content.truth == label)
        own = own[np.argsort(-probabilities[own, label], kind="stable")]
        picked = np.unique(np.linspace(0, len(own) - 1, min(each, len(own))).round().astype(int))
        rows.append([_picture(content, index) for index in own[picked].tolist()])
    return rows


def example_classes(truth: Indices) -> Indices:
    """The classes that have a photo; where there are many, 40 spread over all of them."""
    classes = np.unique(truth)
    most = EXAMPLES // 3
    if len(classes) <= most:
        return classes
    return np.asarray(classes[np.linspace(0, len(classes) - 1, most).astype(int)])


def _picture(content: Content, index: int) -> Picture:
    row = next(iter(content.probabilities.values()))[index]
    truth, answer = int(content.truth[index]), int(row.argmax())
    labels = content.manifest.labels
    uri, side = _small(content.thumbnails(index))
    return Picture(
        uri=uri,
        name=content.names[index],
        truth=labels[truth].name,
        answer=labels[answer].name,
        probability=float(row[answer]),
        of_truth=float(row[truth]),
        right=truth == answer,
        side=side,
    )


def _small(pixels: NDArray[np.uint8]) -> tuple[str, int]:
    """A copy of uint8 RGB (h, w, 3) as a WebP of at most 144 pixels, and its side."""
    image = Image.fromarray(pixels)
    if max(image.size) > _SIDE:
        image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=None)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY, method=4)
    return _uri("image/webp", file.getvalue()), max(image.size)


@dataclass(frozen=True)
class Heat:
    """A confusion matrix as a picture."""

    uri: str
    classes: int
    """That occur."""
    pooled: int
    """Classes to a cell, on each side."""


def heat(counts: Indices) -> Heat:
    """Counts (K, K) as a PNG, a pixel for each cell: one colour, as opaque as its share of the row.

    Where more than 240 classes occur, a cell is the largest of several.
    """
    occurs = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
    shares = tables.shares(counts[np.ix_(occurs, occurs)])
    pooled = -(-len(occurs) // _CELLS)
    side = -(-len(occurs) // pooled)
    padded = np.zeros((side * pooled, side * pooled))
    padded[: len(occurs), : len(occurs)] = shares
    cells = padded.reshape(side, pooled, side, pooled).max(axis=(1, 3))
    opaque = np.round(np.sqrt(cells) * 255).astype(np.uint8)  # or single mistakes can't be seen
    colour = np.broadcast_to(np.array(_COLOUR, np.uint8), (side, side, 3))
    file = io.BytesIO()
    Image.fromarray(np.dstack([colour, opaque])).save(file, "PNG", optimize=True)
    return Heat(_uri("image/png", file.getvalue()), len(occurs), pooled)


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
