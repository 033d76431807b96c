"""Select the photos that a multi-label report shows: the most certain mistakes, and examples.

A mistake is a label of a photo: accepted although the photo lacks it, or missed. Its certainty is
the probability of the decision. Examples of a label range from its most to its least probable
photo.
"""

from dataclasses import dataclass

import numpy as np

from training.report.label_content import LabelContent
from training.report.photo_examples import EXAMPLES, MISTAKES, PER_CLASS, Indices, small_copy

_GROUPS = EXAMPLES // 3


@dataclass(frozen=True)
class LabelPicture:
    """A photo, its labels, and the labels that are accepted for it."""

    uri: str
    name: str
    labels: tuple[str, ...]
    accepted: tuple[tuple[str, float, bool], ...]
    """Name, probability, and whether the photo has it."""
    missed: tuple[tuple[str, float], ...]
    side: int
    """Pixels of the longer side of the copy."""


@dataclass(frozen=True)
class Mistake:
    """A label that is decided wrongly for a photo."""

    picture: LabelPicture
    label: str
    probability: float
    is_missed: bool
    """True if the photo has the label and it isn't accepted."""


def mistakes(content: LabelContent) -> tuple[list[Mistake], int]:
    """Return the most certain mistakes, at most 24, and the number of all."""
    probabilities, accepted = content.analysed, content.accepted
    photos, labels = np.nonzero(accepted != content.truth)
    wrong = np.where(accepted, probabilities, 1 - probabilities)[photos, labels]
    order = np.argsort(-wrong, kind="stable")[:MISTAKES]
    return [_mistake(content, int(photos[i]), int(labels[i])) for i in order], len(photos)


def _mistake(content: LabelContent, photo: int, label: int) -> Mistake:
    return Mistake(
        picture=picture(content, photo),
        label=content.manifest.labels[label].name,
        probability=float(content.analysed[photo, label]),
        is_missed=bool(content.truth[photo, label]),
    )


def examples(content: LabelContent) -> list[tuple[str, list[LabelPicture]]]:
    """Return photos of at most 40 labels, the most probable first; last, photos without any."""
    occurring = np.flatnonzero(content.truth.any(axis=0))
    if len(occurring) > _GROUPS:
        occurring = occurring[np.linspace(0, len(occurring) - 1, _GROUPS).astype(int)]
    each = min(PER_CLASS, EXAMPLES // max(1, len(occurring)))
    groups = [
        (content.manifest.labels[label].name, np.flatnonzero(content.truth[:, label]), label)
        for label in occurring.tolist()
    ]
    rows = [
        (name, _spread(photos, content.analysed[photos, label], each))
        for name, photos, label in groups
    ]
    none = np.flatnonzero(~content.truth.any(axis=1))
    if len(none):
        rows.append(("no label", _spread(none, 1 - content.analysed[none].max(axis=1), each)))
    return [(name, [picture(content, i) for i in photos.tolist()]) for name, photos in rows]


def _spread(
    photos: Indices, scores: np.ndarray[tuple[int], np.dtype[np.floating]], each: int
) -> Indices:
    """Return `each` of the photos, from the highest to the lowest score."""
    ranked = photos[np.argsort(-scores, kind="stable")]
    picked = np.linspace(0, len(ranked) - 1, min(each, len(ranked))).round().astype(int)
    return np.asarray(ranked[np.unique(picked)])


def picture(content: LabelContent, photo: int) -> LabelPicture:
    """Return a measured photo with its labels."""
    names = [label.name for label in content.manifest.labels]
    row, truth, accepted = content.analysed[photo], content.truth[photo], content.accepted[photo]
    uri, side = small_copy(content.thumbnails(photo))
    ranked = np.argsort(-row, kind="stable").tolist()
    return LabelPicture(
        uri=uri,
        name=content.names[photo],
        labels=tuple(names[i] for i in np.flatnonzero(truth)),
        accepted=tuple((names[i], float(row[i]), bool(truth[i])) for i in ranked if accepted[i]),
        missed=tuple((names[i], float(row[i])) for i in ranked if truth[i] and not accepted[i]),
        side=side,
    )
