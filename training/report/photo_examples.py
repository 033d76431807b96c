"""Select the photos that a report shows, and make small copies of them as data: URIs.

The mistakes are the most confident ones. The examples of a class range from its most to its least
probable photo, so that they aren't only the easy ones.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.report import tables
from training.report.content import Content, SuspectPhoto, Suspects
from training.report.label_content import LabelContent

MISTAKES = 24
SUSPECTS = 48
EXAMPLES = 120
PER_CLASS = 6
GROUPS = 12
GROUP = 4
_SIDE = 144
"""Pixels of the longer side; a photo is shown at about this size."""
_QUALITY = 62
_CELLS = 240
"""Cells on a side of the picture of a confusion matrix at most."""
_COLOUR = (47, 125, 225)
"""A colour that is visible on light and on dark."""

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Picture:
    """A photo and the model's prediction for it."""

    uri: str
    name: str
    truth: str
    predicted: str
    probability: float
    of_truth: float
    """The probability of its true label."""
    right: bool
    side: int
    """Pixels of the longer side of the copy."""


def mistakes(content: Content) -> list[Picture]:
    """Return the most confident mistakes, at most 24."""
    probabilities = next(iter(content.probabilities.values()))
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != content.truth)
    order = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]
    return [picture_of(content, index) for index in order[:MISTAKES].tolist()]


def examples(content: Content) -> list[list[Picture]]:
    """Return photos of each class of `example_classes`, the most probable first."""
    probabilities = next(iter(content.probabilities.values()))
    shown = example_classes(content.truth)
    each = min(PER_CLASS, EXAMPLES // max(1, len(shown)))
    rows = []
    for label in shown.tolist():
        of_class = np.flatnonzero(content.truth == label)
        of_class = of_class[np.argsort(-probabilities[of_class, label], kind="stable")]
        picked = np.unique(
            np.linspace(0, len(of_class) - 1, min(each, len(of_class))).round().astype(int)
        )
        rows.append([picture_of(content, index) for index in of_class[picked].tolist()])
    return rows


def example_classes(truth: Indices) -> Indices:
    """Return the classes that have a photo; at most 40 of them."""
    classes = np.unique(truth)
    most = EXAMPLES // 3
    if len(classes) <= most:
        return classes
    return np.asarray(classes[np.linspace(0, len(classes) - 1, most).astype(int)])


def picture_of(content: Content, index: int) -> Picture:
    """Return a measured photo with its prediction and a small copy."""
    row = next(iter(content.probabilities.values()))[index]
    truth, predicted = int(content.truth[index]), int(row.argmax())
    labels = content.manifest.labels
    uri, side = small_copy(content.thumbnails(index))
    return Picture(
        uri=uri,
        name=content.names[index],
        truth=labels[truth].name,
        predicted=labels[predicted].name,
        probability=float(row[predicted]),
        of_truth=float(row[truth]),
        right=truth == predicted,
        side=side,
    )


@dataclass(frozen=True)
class SuspectPicture:
    """A photo whose label is probably wrong, and a small copy of it."""

    photo: SuspectPhoto
    uri: str
    side: int


def suspect_pictures(suspects: Suspects, most: int = SUSPECTS) -> list[SuspectPicture]:
    """Return the first suspects, at most `most`, with small copies."""
    return [
        SuspectPicture(photo, *small_copy(suspects.thumbnails(photo.row)))
        for photo in suspects.photos[:most]
    ]


@dataclass(frozen=True)
class Thumbnail:
    """A small copy of a photo that a finding names."""

    name: str
    uri: str | None
    """None if the photo can't be read."""
    side: int


def groups_of(
    content: Content | LabelContent, groups: Sequence[Sequence[str]]
) -> list[list[Thumbnail]]:
    """Return photos of the first groups of a finding, at most 12 groups of at most 4 photos.

    Args:
        content: reads the photos; without its `data_photo` there are none.
        groups: the names of the photos that belong together.
    """
    if content.data_photo is None:
        return []
    return [
        [_thumbnail(content.data_photo(name), name) for name in group[:GROUP]]
        for group in groups[:GROUPS]
    ]


def _thumbnail(pixels: NDArray[np.uint8] | None, name: str) -> Thumbnail:
    if pixels is None:
        return Thumbnail(name, None, 0)
    uri, side = small_copy(pixels)
    return Thumbnail(name, uri, side)


def small_copy(pixels: NDArray[np.uint8]) -> tuple[str, int]:
    """Return a copy of uint8 RGB (h, w, 3) as a WebP of at most 144 pixels, and its side."""
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
    """The number of classes that occur."""
    pooled: int
    """Classes per cell and axis."""


def confusion_picture(counts: Indices) -> Heat:
    """Draw counts (K, K) as a PNG, with a pixel for each cell.

    A cell's opacity is the square root of its share of its row. Where more than 240 classes occur,
    a cell shows the largest of several shares.
    """
    occurs = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
    shares = tables.shares(counts[np.ix_(occurs, occurs)])
    pooled = -(-len(occurs) // _CELLS)
    side = -(-len(occurs) // pooled)
    padded = np.zeros((side * pooled, side * pooled))
    padded[: len(occurs), : len(occurs)] = shares
    cells = padded.reshape(side, pooled, side, pooled).max(axis=(1, 3))
    opaque = np.round(np.sqrt(cells) * 255).astype(
        np.uint8
    )  # a linear opacity would hide single mistakes
    colour = np.broadcast_to(np.array(_COLOUR, np.uint8), (side, side, 3))
    file = io.BytesIO()
    Image.fromarray(np.dstack([colour, opaque])).save(file, "PNG", optimize=True)
    return Heat(_uri("image/png", file.getvalue()), len(occurs), pooled)


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
