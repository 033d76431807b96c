"""Compute what to do first about a multi-label model: the few steps that would improve it most."""

from collections.abc import Iterator

import numpy as np

from training.report import label_tables
from training.report.advice import MOST, Step, about_data
from training.report.label_content import LabelContent

_SURE = 0.9
"""The probability from which a mistake makes its label doubtful."""
_WEAK_BELOW = 0.9
"""The average precision below which more photos of a label are asked for."""
_FEW_PHOTOS = 30
"""Measured photos with a label below which its figures are uncertain."""
_SHOWN = 6


def steps(content: LabelContent) -> list[Step]:
    """Return what to do first, at most six steps, the most urgent first."""
    found = {
        finding.kind: finding for finding in (content.findings.found if content.findings else ())
    }
    every = (*about_data(found), *_doubtful(content), *_weak(content), *_few(content))
    return list(every[:MOST])


def _doubtful(content: LabelContent) -> Iterator[Step]:
    """Count the decisions of which the model is surest and that contradict the labels."""
    certainty = np.where(content.accepted, content.analysed, 1 - content.analysed)
    doubtful = (content.accepted != content.truth) & (certainty >= _SURE)
    if count := int(doubtful.sum()):
        photos = int(doubtful.any(axis=1).sum())
        yield Step(
            "Check the labels of these photos",
            f"For {photos} measured {'photo' if photos == 1 else 'photos'} the model contradicts "
            f"{count} {'label' if count == 1 else 'labels'} with a probability of at least "
            f"{100 * _SURE:.0f}\u00a0%. Correct those that are wrong; if they are right, add "
            "photos like these.",
            link="mistakes",
        )


def _weak(content: LabelContent) -> Iterator[Step]:
    rows = [(f.average_precision, f.index) for f in label_tables.figures(content) if f.images]
    weak = sorted((ap, index) for ap, index in rows if ap is not None and ap < _WEAK_BELOW)
    if weak:
        names = [content.manifest.labels[index].name for _, index in weak]
        yield Step(
            f"Add photos of {names[0]}" + (" and others" if len(names) > 1 else ""),
            "Photos with these labels are ranked least reliably: the average precision is "
            f"{weak[0][0]:.2f} for {names[0]}. Vary what else is in them.",
            names=tuple(f"{name} ({ap:.2f})" for name, (ap, _) in zip(names, weak, strict=True))[
                :_SHOWN
            ],
            link="classes",
        )


def _few(content: LabelContent) -> Iterator[Step]:
    counts = content.truth.sum(axis=0)
    few = np.flatnonzero(counts < _FEW_PHOTOS)
    if len(few):
        names = tuple(f"{content.manifest.labels[i].name} ({counts[i]})" for i in few.tolist())
        yield Step(
            "Measure on more photos",
            f"{len(few)} of {len(counts)} labels are on fewer than {_FEW_PHOTOS} measured photos, "
            "so their figures are uncertain.",
            names=names[:_SHOWN],
            link="classes",
        )
