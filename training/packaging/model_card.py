"""Write the model card, README.md in the bundle: a function and a template for each kind of model.

a trained model     cards/trained.md, or if it is multi-label cards/trained_labels.md
the default model   cards/imagenet.md
an imported model   cards/imported.md
"""

import functools
import textwrap
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from app.bundle import DecisionRule, InputSpec, Manifest, Task
from app.runtime.evaluation.interval import interval_text
from training.data.findings import Findings
from training.gates import INT8_MAX_DROP, Int8Result, upper_limit
from training.int8.candidate import INVALID, TOO_FEW, Candidate
from training.thresholds import describe_bands

THRESHOLDS = "## Accepted predictions"
"""The heading of the section that `hubel calibrate` replaces."""
_LABELS = 20
"""Labels that a card lists."""
WIDTH = 99
SCORES = {
    "familiarity": "familiarity (cosine to the nearest of the training's prototypes)",
    "max_probability": "highest probability",
}


def trained(recipe: str, int8: Candidate, findings: Findings, manifest: Manifest) -> str:
    """Return the card of a trained model; `recipe` says in Markdown how it was trained."""
    assert manifest.unknown is not None
    fp32 = manifest.single_label_metrics["fp32"]
    wrong = round((1 - fp32.top1) * fp32.images)
    split = manifest.training.arguments["photos"]
    return _render(
        "trained.md",
        manifest,
        recipe=recipe,
        findings=findings,
        has_leak=any(finding.kind in ("leak", "group leak") for finding in findings.found),
        split=", ".join(f"{part} {count}" for part, count in split.items()),
        fp32=fp32,
        wrong=wrong,
        limit=upper_limit(wrong, fp32.images),
        score=SCORES[manifest.unknown.score],
        accepted=accepted(manifest),
        drift=_drift(manifest),
        int8=_int8_of_trained(int8),
    )


def trained_labels(recipe: str, int8: Candidate, findings: Findings, manifest: Manifest) -> str:
    """Return the card of a trained multi-label model; `recipe` says how it was trained."""
    assert manifest.unknown is not None
    assert manifest.undecided is not None
    split = manifest.training.arguments["photos"]
    return _render(
        "trained_labels.md",
        manifest,
        recipe=recipe,
        findings=findings,
        has_leak=any(finding.kind in ("leak", "group leak") for finding in findings.found),
        split=", ".join(f"{part} {count}" for part, count in split.items()),
        score=SCORES[manifest.unknown.score],
        bands=describe_bands(manifest.undecided),
        drift=_drift(manifest),
        int8=_int8_of_trained(int8),
    )


def imagenet(backbone: str, int8: Int8Result, manifest: Manifest) -> str:
    """Return the card of the default model."""
    fp32 = manifest.single_label_metrics["fp32"]
    return _render(
        "imagenet.md",
        manifest,
        backbone=backbone,
        noise=196 * (fp32.top1 * (1 - fp32.top1) / fp32.images) ** 0.5,
        int8=textwrap.fill(
            f"{_verdict(int8)} On {int8.images} photos that didn't calibrate it ({int8.labelled} "
            f"of them labelled: top-1 {100 * int8.top1_int8:.1f} %, fp32 "
            f"{100 * int8.top1_fp32:.1f} %), it agrees with fp32 on "
            f"{100 * int8.agreement:.1f} %, {int8.loss_or_gain} "
            f"({100 * INT8_MAX_DROP:.1f} is allowed; for a photo without a label the loss "
            f"is estimated from fp32's probabilities) and is {int8.speedup:.2f} times as "
            "fast, on one thread of the machine it was built on.",
            WIDTH,
        ),
    )


def imported(
    has_head: bool, has_embedding: bool, int8: str, has_report: bool, manifest: Manifest
) -> str:
    """Return the card of an imported model.

    Args:
        has_head: whether the graph ends with a pooled linear head.
        has_embedding: whether it has an embedding.
        int8: the outcome of the int8 gate, as one line.
        has_report: whether the bundle has a report.
        manifest: of the bundle.
    """
    arguments = manifest.training.arguments
    temperature = manifest.calibration.temperature if manifest.calibration else 1
    outputs = (
        f"{_outputs(arguments['output_kind'], temperature, manifest.task)} "
        f"{_head_of_imported(has_head, has_embedding)}"
    )
    sentence = int8 if int8.startswith("int8") else f"{int8[0].upper()}{int8[1:]}"
    return _render(
        "imported.md",
        manifest,
        arguments=arguments,
        mean=", ".join(f"{value:g}" for value in arguments["mean"]),
        std=", ".join(f"{value:g}" for value in arguments["std"]),
        outputs=textwrap.fill(outputs, WIDTH),
        int8=textwrap.fill(f"{sentence}.", WIDTH),
        has_report=has_report,
    )


def accepted(manifest: Manifest) -> str:
    """Return what is accepted, what was promised for it, and what the test photos gave."""
    rule = manifest.decision or DecisionRule()
    own = " (some labels have their own threshold, see bundle.json)" if rule.labels else ""
    text = (
        f"A prediction with a probability of at least {_percent(rule.accept_from)}{own} is "
        "`accepted`, any other `unsure`."
        if rule.accept_from
        else f"A prediction of any probability{own} is `accepted`."
    )
    if rule.precision is not None and rule.confidence is not None and rule.coverage is not None:
        each = " of each class with its own threshold" if rule.labels else ""
        text += (
            f" Promised: at least {_percent(rule.precision)} of the accepted predictions{each} are "
            f"right, at {_percent(rule.confidence, 0)} confidence, on photos like those that chose "
            f"the threshold: {rule.photos} photos of {rule.on}, of which "
            f"{_percent(rule.coverage)} were accepted."
        )
    if rule.tested is not None and rule.tested.precision is not None:
        text += (
            f" Given: of {rule.tested.photos} photos of {rule.tested.on}, "
            f"{_percent(rule.tested.coverage)} were accepted, and "
            f"{_percent(rule.tested.precision, 2)} of these were right."
        )
    return textwrap.fill(text, WIDTH)


def _outputs(kind: str, temperature: float, task: Task) -> str:
    if task == "multi_label":
        return (
            f"Its output is read as {kind} of each label by itself, so a photo may have several "
            "labels, or none. A label is accepted from the threshold in bundle.json."
        )
    return f"Its output is read as {kind}; the temperature is {temperature:.3f}."


def _head_of_imported(has_head: bool, has_embedding: bool) -> str:
    if has_head:
        return (
            "It ends with a pooled linear head, so embeddings and class activation maps are exact."
        )
    if has_embedding:
        return (
            "The embedding is what its last linear layer reads. That layer isn't pooled, so there "
            "is no class activation map."
        )
    return (
        "No linear head was recognised in it, so it has no embedding and no class activation map."
    )


def part_of_photo(spec: InputSpec) -> str:
    """Return which part of a photo is read, in words."""
    kept = f"the middle {100 * spec.crop:g} % of "
    if spec.fit == "cover":
        return f"{kept}the centre square"
    how = "squashed" if spec.fit == "stretch" else "with grey around it"
    return f"{kept if spec.crop < 1 else ''}the whole photo, {how}"


@functools.cache  # compiling takes longer than rendering
def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "cards"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=_percent, fixed=_fixed, interval=interval_text)
    return environment.get_template(name)


def _render(template: str, manifest: Manifest, **values: Any) -> str:
    names = [label.name for label in manifest.labels]
    return _template(template).render(
        manifest=manifest,
        count=len(names),
        labels=", ".join(names[:_LABELS]) + (", …" if len(names) > _LABELS else ""),
        crop=f"{100 * manifest.input.crop:g}",
        part=part_of_photo(manifest.input),
        **values,
    )


def _int8_of_trained(int8: Candidate) -> str:
    result = int8.result
    if int8.is_invalid:
        return f"This bundle has no int8 graph: {INVALID}."
    if result is None:
        return textwrap.fill(f"This bundle has no int8 graph: {int8.obstacle or TOO_FEW}.", WIDTH)
    if int8.is_timed_only:
        return textwrap.fill(
            f"This bundle has no int8 graph: {'; '.join(result.failures)}, on one thread of the "
            "machine it was built on.",
            WIDTH,
        )
    return textwrap.fill(
        f"{_verdict(result)} On {result.images} photos that were not used to calibrate it, each "
        f"predicted by a model that was not trained on it, it is right on "
        f"{100 * result.top1_int8:.2f} % where fp32 is right on "
        f"{100 * result.top1_fp32:.2f} % (a loss of "
        f"{100 * INT8_MAX_DROP:.1f} points is allowed), agrees with fp32 on "
        f"{100 * result.agreement:.1f} %, and is {result.speedup:.2f} times as fast, on one thread "
        "of the machine it was built on.",
        WIDTH,
    )


def _drift(manifest: Manifest) -> str:
    """Return what the service's predictions are compared with."""
    baseline = manifest.baseline
    assert baseline is not None
    shares = ", ".join(
        f"{decision} {_percent(count / baseline.images)}"
        for decision, count in (baseline.decisions or {}).items()
    )
    return textwrap.fill(
        f"The service compares its last predictions with those on the {baseline.images} photos of "
        f"the test: the decisions ({shares}, at the thresholds of the training), the labels, the "
        "confidence and the mean embedding. If they come to differ by more than chance, the photos "
        "or their mixture are no longer those of the training.",
        WIDTH,
    )


def _verdict(result: Int8Result) -> str:
    if result.failures:
        return f"This bundle has no int8 graph: {'; '.join(result.failures)}."
    return "int8, whose weights have seven bits, is as accurate as its gate demands."


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _fixed(number: float, digits: int) -> str:
    return f"{number:.{digits}f}"
