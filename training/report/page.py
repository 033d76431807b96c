"""Render the content of a report into page.html, and write report/index.html.

The page needs no script and no network, and its content security policy forbids both. The template
escapes all text of the data, such as the names of classes and files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from app.bundle import DecisionRule
from app.runtime.evaluation.calibration_error import calibration_error
from training.report import (
    accepted,
    advice,
    cells,
    interval,
    label_page,
    photo_examples,
    plots,
    tables,
)
from training.report.content import Content
from training.report.label_content import LabelContent
from training.report.template import origin, style, template

INDEX = "index.html"
_MAX_NAMES = 2000
"""The largest number of names shown of one finding; more would make the page too large to open."""
_TOP5_FROM = 6
"""Classes from which top-5 is shown; with fewer, the top five are nearly all classes."""


def write(content: Content | LabelContent, folder: Path, name: str = INDEX) -> Path:
    """Write the report into `folder`, which is created if it is missing, and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    # A file's name may not be valid Unicode; the report is written all the same.
    text = label_page.render(content) if isinstance(content, LabelContent) else render(content)
    file.write_bytes(text.encode("utf-8", "backslashreplace"))
    return file


def render(content: Content) -> str:
    """Return the page as HTML."""
    return template("page.html").render(
        style=style(),
        steps=advice.steps(content),
        groups_of=lambda finding: photo_examples.groups_of(content, finding.groups),
        content=content,
        manifest=content.manifest,
        names_shown=_MAX_NAMES,
        top5=len(content.manifest.labels) >= _TOP5_FROM,
        origin=origin(content.manifest),
        **_summary(content),
        **_data(content),
        **_classes(content),
        **_plots(content),
        **_accepted(content),
        **_pictures(content),
        **_suspects(content),
    )


def _summary(content: Content) -> Mapping[str, Any]:
    figures = next(iter(content.figures.values()))
    wrong = figures.images - round(figures.top1 * figures.images)
    return {
        "first": next(iter(content.figures)),
        "shown": figures,
        "right": figures.images - wrong,
        "interval": interval.between(figures.images - wrong, figures.images),
    }


def _data(content: Content) -> Mapping[str, Any]:
    sizes = {part: int(counts.sum()) for part, counts in content.sizes.items()}
    return {"findings": content.findings, "sizes": sizes}


def _classes(content: Content) -> Mapping[str, Any]:
    counts = tables.confusion(content)
    count = len(counts)
    small = count <= tables.MATRIX
    rows = tables.classes(content, counts)
    shown = tables.pairs(content, counts)
    if small:
        opened = [(truth, label) for truth in range(count) for label in range(count)]
    else:
        opened = [(pair.truth_index, pair.predicted_index) for pair in shown]
    return {
        "cells": cells.cells(content, opened),
        "cell_id": cells.cell_id,
        "classes": rows,
        "intervals": any(0 < row.images <= interval.FEW for row in rows),
        "measured_classes": int((counts.sum(axis=1) > 0).sum()),
        "pairs": shown,
        "pairs_shown": tables.PAIRS,
        "matrix": list(zip(counts.tolist(), tables.shares(counts).tolist(), strict=True))
        if small
        else None,
        "heat": None if small else photo_examples.confusion_picture(counts),
    }


def _plots(content: Content) -> Mapping[str, Any]:
    probabilities = next(iter(content.probabilities.values()))
    rule = content.manifest.unknown
    before, scores = content.uncalibrated, content.scores
    after = plots.reliability(probabilities, content.truth, "after")
    return {
        "curves": [(curve, Markup(plots.curve(curve))) for curve in content.curves],
        "after": Markup(after),
        "before": None
        if before is None
        else Markup(plots.reliability(before, content.truth, "before")),
        "ece_before": None if before is None else calibration_error(before, content.truth),
        "familiar": None
        if rule is None or scores is None
        else Markup(
            plots.histogram(_by_correctness(content), rule.score.replace("_", " "), rule.threshold)
        ),
        "known_share": None
        if rule is None or scores is None
        else float((scores >= rule.threshold).mean()),
    }


def _accepted(content: Content) -> Mapping[str, Any]:
    """Return the section about accepted predictions, where the model decides about them."""
    manifest = content.manifest
    if manifest.unknown is None and manifest.decision is None:
        return {"decision": None}
    rule = manifest.decision or DecisionRule()
    rows = accepted.figures(content)
    return {
        "decision": rule,
        "accepted_rows": rows,
        "kept": None
        if rule.precision is None or rows[-1].precision is None or content.chose_thresholds
        else rows[-1].precision >= rule.precision,
        "accepted_by_class": accepted.by_class(content),
        "accepted_curve": Markup(plots.curve(accepted.curve(content))),
    }


def _by_correctness(content: Content) -> dict[str, Any]:
    """Return the scores of photos that are predicted correctly, and of the others."""
    assert content.scores is not None
    right = next(iter(content.probabilities.values())).argmax(axis=1) == content.truth
    groups = {"right": content.scores[right], "wrong": content.scores[~right]}
    return {f"{name} ({len(group)})": group for name, group in groups.items() if len(group)}


def _pictures(content: Content) -> Mapping[str, Any]:
    shown = photo_examples.example_classes(content.truth)
    labels = [content.manifest.labels[index].name for index in shown.tolist()]
    return {
        "mistakes": photo_examples.mistakes(content),
        "mistakes_shown": photo_examples.MISTAKES,
        "examples": list(zip(labels, photo_examples.examples(content), strict=True)),
    }


def _suspects(content: Content) -> Mapping[str, Any]:
    suspects = content.suspects
    return {
        "suspects": suspects,
        "suspect_pictures": [] if suspects is None else photo_examples.suspect_pictures(suspects),
    }
