"""Render the content of a report into page.html, and write report/index.html.

The page needs no script and no network, and its content security policy forbids both. The template
escapes all text of the data, such as the names of classes and files.
"""

import base64
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.bundle import DecisionRule, Manifest
from app.runtime.evaluation.calibration_error import calibration_error
from training.report import accepted, advice, interval, photo_examples, plots, tables
from training.report.content import Content

INDEX = "index.html"
_MAX_NAMES = 2000
"""The largest number of names shown of one finding; more would make the page too large to open."""
_TOP5_FROM = 6
"""Classes from which top-5 is shown; with fewer, the top five are nearly all classes."""
_TERMS = {"strength": "C, inverse regularisation strength"}
"""The terms for arguments whose names in bundle.json are others."""
_TYPEFACES = {"Newsreader": "newsreader", "Hanken Grotesk": "hanken-grotesk"}
"""The typefaces of the service's page, by family, and their files in app/web/dress."""


def write(content: Content, folder: Path) -> Path:
    """Write the report into `folder`, which is created if it is missing, and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / INDEX
    # A file's name may not be valid Unicode; the report is written all the same.
    file.write_bytes(render(content).encode("utf-8", "backslashreplace"))
    return file


def render(content: Content) -> str:
    """Return the page as HTML."""
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, plain=_plain)
    return environment.get_template("page.html").render(
        style=Markup(_typefaces() + (here / "page.css").read_text(encoding="utf-8")),
        steps=advice.steps(content),
        groups_of=lambda finding: photo_examples.groups_of(content, finding.groups),
        content=content,
        manifest=content.manifest,
        names_shown=_MAX_NAMES,
        top5=len(content.manifest.labels) >= _TOP5_FROM,
        origin=_origin(content.manifest),
        **_summary(content),
        **_data(content),
        **_classes(content),
        **_plots(content),
        **_accepted(content),
        **_pictures(content),
    )


def _typefaces() -> str:
    """Return the rules that put the typefaces into the page, as data: URIs."""
    dress = files("app") / "web" / "dress"
    return "".join(
        f'@font-face {{ font-family: "{family}"; font-weight: 400 700; '
        f'src: url("data:font/woff2;base64,'
        f'{base64.b64encode((dress / f"{name}.woff2").read_bytes()).decode()}"); }}\n'
        for family, name in _TYPEFACES.items()
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
    return {
        "classes": rows,
        "intervals": any(0 < row.images <= interval.FEW for row in rows),
        "measured_classes": int((counts.sum(axis=1) > 0).sum()),
        "pairs": tables.pairs(content, counts),
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
        "curves": [(curve, _svg(plots.curve(curve))) for curve in content.curves],
        "after": _svg(after),
        "before": None
        if before is None
        else _svg(plots.reliability(before, content.truth, "before")),
        "ece_before": None if before is None else calibration_error(before, content.truth),
        "familiar": None
        if rule is None or scores is None
        else _svg(
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
        if rule.precision is None or rows[-1].precision is None
        else rows[-1].precision >= rule.precision,
        "accepted_by_class": accepted.by_class(content),
        "accepted_curve": _svg(plots.curve(accepted.curve(content))),
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


def _origin(manifest: Manifest) -> dict[str, Any]:
    """Return the origin of the model, without the time: the same seed gives the same report."""
    training = manifest.training
    arguments = {_TERMS.get(name, name): _text(value) for name, value in training.arguments.items()}
    rows = {
        "recipe": training.recipe,
        **arguments,
        "seed": training.seed,
        "fingerprint of the photos": training.data,
        "versions": ", ".join(f"{name} {version}" for name, version in training.versions.items()),
        "git commit": training.git_commit,
    }
    return {name: value for name, value in rows.items() if value not in (None, "", "None")}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _svg(text: str) -> Markup:
    return Markup(text)


def _percent(share: float | None, digits: int = 1) -> str:
    return "-" if share is None else f"{100 * share:.{digits}f}\u00a0%"


def _plain(count: int) -> str:
    return f"{count:,}"
