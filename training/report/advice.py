"""Compute what to do first: the few steps that would improve the data or the model most.

    findings, sizes, predictions -> relabel these, add photos of those, these two are confused, …

Each step states the numbers that it follows from. They stand in the order of their effect: what
makes the figures wrong, then wrong labels, then what the model gets wrong, then what is not known
well enough.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from training.data.findings import Finding, Kind
from training.report import tables
from training.report.content import Content
from training.report.interval import between, of, said
from training.report.photo_examples import Picture, mistakes

MOST = 6
"""Steps that are shown at most."""
_SURE = 0.9
"""The probability from which a mistake makes its label doubtful."""
_SHOWN = 6
"""Photos or files shown for a step."""
_CONFUSED_FROM = 0.05
"""The share of two classes' photos from which a confusion is named."""
_CONFUSED_PHOTOS = 2
_WEAK_BY = 0.05
"""How far a class's recall lies below that of all photos when more photos of it are asked for."""
_SMALL = 1 / 3
"""The share of the median class's photos below which a class counts as small."""
_WIDE = 0.05
"""The half width of the interval of top-1 from which more test photos are asked for."""
_UNKNOWN_FROM = 0.1
"""The share of photos that are taken for unknown from which the threshold is named."""
_FEW_PHOTOS = 30


@dataclass(frozen=True)
class Step:
    """One thing to do, and the reason with its numbers."""

    title: str
    reason: str
    names: tuple[str, ...] = ()
    """Files to look at."""
    groups: tuple[tuple[str, ...], ...] = ()
    """The same by photos that belong together."""
    pictures: tuple[Picture, ...] = field(default=())
    link: str = ""
    """The id of the section that shows more."""


def steps(content: Content) -> list[Step]:
    """Return what to do first, at most six steps, the most urgent first."""
    found = {
        finding.kind: finding for finding in (content.findings.found if content.findings else ())
    }
    every = (*about_data(found), *_about_predictions(content))
    return list(every[:MOST])


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%"


def about_data(found: dict[Kind, Finding]) -> Iterator[Step]:
    """Yield what to do about the data, from the findings by their kind."""
    if leak := found.get("leak"):
        yield Step(
            "Take photos of test out of train",
            f"{_count(leak, 'photo is', 'photos are')} in two parts of the given split. The "
            "figures below are too high.",
            leak.names[:_SHOWN],
            leak.groups[:_SHOWN],
            link="data",
        )
    if leak := found.get("group leak"):
        yield Step(
            "Keep each group in one part of the split",
            f"{_count(leak, 'group is', 'groups are')} in two parts of the given split. The "
            "figures below are too high.",
            leak.names[:_SHOWN],
            link="data",
        )
    conflicts: tuple[tuple[Kind, str], ...] = (
        ("two labels", "left out of training"),
        ("near, two labels", "used"),
    )
    for kind, what in conflicts:
        if finding := found.get(kind):
            yield Step(
                "Decide on one label",
                f"{_count(finding, 'photo lies', 'photos lie')} in the folders of two classes, "
                f"and {'is' if len(finding.names) == 1 else 'are'} {what}. At least one of the "
                "labels is wrong.",
                finding.names[:_SHOWN],
                finding.groups[:_SHOWN],
                link="data",
            )
    if unusable := found.get("unusable"):
        yield Step(
            "Repair or remove files",
            f"{_count(unusable, 'file', 'files')} can't be read, and nothing was learnt from "
            f"{'it' if len(unusable.names) == 1 else 'them'}.",
            unusable.names[:_SHOWN],
            link="data",
        )


def _count(finding: Finding, one: str, many: str) -> str:
    count = len(finding.names)
    return f"{count:,} {one if count == 1 else many}"


def _about_predictions(content: Content) -> Iterator[Step]:
    counts = tables.confusion(content)
    yield from _doubtful(content, int(counts.sum() - np.trace(counts)))
    yield from _confused(content, counts)
    yield from _weak_classes(content, counts)
    yield from _small_classes(content)
    yield from _unknown(content)
    yield from _few_photos(content)


def _doubtful(content: Content, wrong: int) -> Iterator[Step]:
    """Show the mistakes of which the model is surest: their labels may be wrong."""
    surest = mistakes(content)
    if not surest:
        return
    sure = [one for one in surest if one.probability >= _SURE]
    if sure:
        more = " or more" if len(sure) == len(surest) < wrong else ""
        reason = (
            f"The model is at least {_percent(_SURE)} sure of another label for "
            f"{len(sure)}{more} of {len(content.truth):,} measured photos. Relabel those whose "
            "label is wrong. If the label is right, add photos like it."
        )
        yield Step("Relabel these, if they are wrong", reason, pictures=tuple(sure[:_SHOWN]))
        return
    reason = (
        f"{wrong:,} of {len(content.truth):,} measured photos "
        f"{'is' if wrong == 1 else 'are'} taken for another class, with a probability of up to "
        f"{_percent(surest[0].probability)}. Are the labels right? If so, add photos like these."
    )
    yield Step("Look at the mistakes", reason, pictures=tuple(surest[:_SHOWN]), link="mistakes")


def _confused(content: Content, counts: tables.Counts) -> Iterator[Step]:
    """Name the pair of classes with the most confusions, both ways, if they are many."""
    labels = [label.name for label in content.manifest.labels]
    both = np.triu(counts + counts.T, 1)
    first, second = (int(index) for index in np.unravel_index(both.argmax(), both.shape))
    times, of_photos = int(both[first, second]), int(counts[[first, second]].sum())
    if times < _CONFUSED_PHOTOS or times < _CONFUSED_FROM * of_photos:
        return
    reason = (
        f"{times:,} of the {of_photos:,} measured photos of both are taken for the other one "
        f"({said(times, of_photos)}). Add photos that show the difference. If even people can't "
        "tell them apart, make them one class."
    )
    yield Step(f"Tell {labels[first]} and {labels[second]} apart", reason, link="confusion")


def _weak_classes(content: Content, counts: tables.Counts) -> Iterator[Step]:
    """Name the class whose recall is surely below that of all photos."""
    labels = [label.name for label in content.manifest.labels]
    right, photos = np.diagonal(counts), counts.sum(axis=1)
    overall = right.sum() / photos.sum()
    weak = [
        index
        for index in np.flatnonzero(photos).tolist()
        if of(int(right[index]), int(photos[index]))[1] < overall - _WEAK_BY
    ]
    if not weak:
        return
    index = min(weak, key=lambda index: right[index] / photos[index])
    trained = _trained(content)
    had = "" if trained is None else f" It had {trained[index]:,} photos of training."
    yield Step(
        f"Add photos of {labels[index]}",
        f"{right[index]:,} of its {photos[index]:,} measured photos are recognised "
        f"({said(int(right[index]), int(photos[index]))}), of all classes together "
        f"{_percent(overall)}.{had}",
        link="classes",
    )


def _small_classes(content: Content) -> Iterator[Step]:
    """Name the classes with far fewer photos of training than the median class."""
    trained = _trained(content)
    if trained is None or len(trained) < 2:  # noqa: PLR2004
        return
    labels = [label.name for label in content.manifest.labels]
    median = float(np.median(trained))
    limit = max(median * _SMALL, min(median, float(_FEW_PHOTOS)))
    order = np.argsort(trained, kind="stable")
    small = [index for index in order.tolist() if trained[index] < limit]
    if not small and trained[order[0]] * 3 <= trained[order[-1]]:
        small = [int(order[0])]
    if not small:
        return
    named = ", ".join(f"{labels[index]} ({trained[index]:,})" for index in small[:5])
    more = f" and {len(small) - 5:,} more" if len(small) > 5 else ""  # noqa: PLR2004
    yield Step(
        "Add photos of the small classes",
        f"Photos of training: {named}{more}. The largest class has {trained.max():,}, the median "
        f"class {median:,.0f}.",
        link="classes",
    )


def _trained(content: Content) -> tables.Counts | None:
    """Return the photos of training (K,), by class."""
    parts: Sequence[tables.Counts] = [
        np.asarray(content.sizes[part]) for part in ("train", "val") if part in content.sizes
    ]
    return np.sum(parts, axis=0) if parts else None


def _unknown(content: Content) -> Iterator[Step]:
    rule, scores = content.manifest.unknown, content.scores
    if rule is None or scores is None:
        return
    rejected = int((scores < rule.threshold).sum())
    if rejected < _UNKNOWN_FROM * len(scores):
        return
    yield Step(
        "Train on photos like those measured",
        f"{rejected:,} of {len(scores):,} measured photos resemble those of training too little "
        f"and are answered unknown ({said(rejected, len(scores))}).",
        link="unknown",
    )


def _few_photos(content: Content) -> Iterator[Step]:
    photos = len(content.truth)
    right = int(np.diagonal(tables.confusion(content)).sum())
    low, high = of(right, photos)
    if high - low < 2 * _WIDE:
        return
    yield Step(
        "Measure on more photos",
        f"{right:,} of {photos:,} are right, so the accuracy of others like them lies "
        f"{between(right, photos)}. Four times the photos halve this range.",
        link="figures",
    )
