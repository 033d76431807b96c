"""Render the content of a multi-label report into labels.html."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from training.report import (
    interval,
    label_advice,
    label_examples,
    label_tables,
    photo_examples,
    plots,
)
from training.report.label_content import LabelContent
from training.report.template import origin, style, template
from training.thresholds import count_accepted, describe_bands

_MAX_NAMES = 2000
"""The largest number of names shown of one finding; more would make the page too large to open."""


def render(content: LabelContent) -> str:
    """Return the page as HTML."""
    mistakes, count = label_examples.mistakes(content)
    figures = next(iter(content.figures.values()))
    exact = round(figures.exact * figures.images)
    return template("labels.html").render(
        style=style(),
        unit="label",
        steps=label_advice.steps(content),
        groups_of=lambda finding: photo_examples.groups_of(content, finding.groups),
        content=content,
        manifest=content.manifest,
        names_shown=_MAX_NAMES,
        origin=origin(content.manifest),
        first=next(iter(content.figures)),
        shown=figures,
        exact=exact,
        interval=interval.between(exact, figures.images),
        findings=content.findings,
        promised=content.manifest.training.arguments.get("accept_precision"),
        given=count_accepted(content.accepted, content.truth),
        bands=describe_bands(content.manifest.undecided or ()),
        sizes=content.part_photos,
        rows=label_tables.labels(content),
        matrix=label_tables.matrix(content),
        pairs=label_tables.pairs(content),
        pairs_shown=label_tables.PAIRS,
        by_count=label_tables.by_count(content),
        mistakes=mistakes,
        mistakes_in_all=count,
        decisions=content.truth.size,
        examples=label_examples.examples(content),
        **_plots(content),
    )


def _plots(content: LabelContent) -> Mapping[str, Any]:
    rule, scores, before = content.manifest.unknown, content.familiarity, content.uncalibrated
    known = rule is not None and scores is not None
    return {
        "curves": [(curve, Markup(plots.curve(curve))) for curve in content.curves],
        "after": Markup(plots.label_reliability(content.analysed, content.truth, "after")),
        "before": None
        if before is None
        else Markup(plots.label_reliability(before, content.truth, "before")),
        "familiar": Markup(plots.histogram(_by_correctness(content), "familiarity", rule.threshold))
        if known and rule is not None
        else None,
        "accepted": float((np.asarray(scores) >= rule.threshold).mean())
        if known and rule is not None
        else None,
    }


def _by_correctness(content: LabelContent) -> dict[str, Any]:
    """Return the familiarity of photos whose labels are exactly right, and of the others."""
    assert content.familiarity is not None
    right = (content.accepted == content.truth).all(axis=1)
    groups = {"right": content.familiarity[right], "wrong": content.familiarity[~right]}
    return {f"{name} ({len(group)})": group for name, group in groups.items() if len(group)}
