"""What is known of a trained network -> its card, README.md in the bundle."""

import textwrap

from app.bundle import Manifest, Metrics, Precision
from app.runtime.classifier import SURE_FROM
from training.data.findings import Findings
from training.gates import INT8_MAX_DROP, Int8Result, upper_limit
from training.int8.candidate import TOO_FEW

_TEMPLATE = """\
# {name}

{count} classes: {labels}. Written by `hubel train` with the recipe `{recipe}`; bundle.json has
its arguments.

## Data

{findings}

Split, with photos that look alike on one side{but}: {split}.
bundle.json has a fingerprint of the photos.

[The report](report/index.html) names them all, and shows figures by class, who is taken for whom,
calibration, and the most confident mistakes.

## Recipe

{how}

Seed {seed}.

## Figures

| Precision | Top-1 | Top-5 | ECE | Photos | Measured on |
|---|---|---|---|---|---|
{metrics}

fp32 is wrong on {wrong} of {images} photos; of others like them it may be wrong on up to
{limit:.1f} % (95 %). The expected calibration error (15 bins) is {ece_before:.3f} without the
temperature of {temperature:.3f}, and {ece_after:.3f} with it.

{int8}

## What it says of other photos

A photo whose {score} is under {threshold:.3f} is answered `unknown`; {accepts:.1f} % of the test
photos reach that. An answer under {sure:.0f} % is `unsure`, any other `accepted`.

## Limits

It knows the classes above and no others, as they look in the photos above: in other light, from
other cameras or in other places it may be less right than the figures say, and only photos from
there can tell. `unknown` catches most photos of something else, not all. Don't let it decide over
people, medicine or safety.

## Golden photos

The bundle's own test: these give their stored probabilities, or the bundle doesn't serve. They are
photos of the test split; mind that before you hand the bundle on.

| Photo | Label | From |
|---|---|---|
{golden}
"""
_SHOWN = 20


_SCORES = {
    "familiarity": "familiarity (cosine to the nearest of the training's prototypes)",
    "max_probability": "highest probability",
}


def write(how: str, int8: Int8Result | None, manifest: Manifest, found: Findings) -> str:
    """The card, in Markdown; `how` says how the network was trained."""
    names = [label.name for label in manifest.labels]
    selected, fp32 = manifest.training.arguments, manifest.metrics["fp32"]
    wrong = round((1 - fp32.top1) * fp32.images)
    assert manifest.calibration is not None
    assert manifest.unknown is not None
    return _TEMPLATE.format(
        name=manifest.name,
        count=len(names),
        labels=", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else ""),
        findings="\n".join(f"- {line}" for line in found.lines()),
        but=" (but for those named above)" if _leaks(found) else "",
        split=", ".join(f"{part} {count}" for part, count in selected["photos"].items()),
        recipe=manifest.training.recipe,
        how=how,
        seed=manifest.training.seed,
        metrics="\n".join(_row(*item) for item in manifest.metrics.items()),
        wrong=wrong,
        images=fp32.images,
        limit=100 * upper_limit(wrong, fp32.images),
        temperature=manifest.calibration.temperature,
        ece_before=manifest.calibration.ece_before,
        ece_after=manifest.calibration.ece_after,
        int8=_int8(int8),
        score=_SCORES[manifest.unknown.score],
        threshold=manifest.unknown.threshold,
        accepts=100 * manifest.unknown.accepts,
        sure=100 * SURE_FROM,
        golden="\n".join(f"| {p.file} | {p.label} | {p.source} |" for p in manifest.golden.photos),
    )


def _leaks(found: Findings) -> bool:
    """Whether a given split has photos that look alike on both sides."""
    return any(finding.kind == "leak" for finding in found.found)


def _row(precision: Precision, figures: Metrics) -> str:
    return (
        f"| {precision} | {100 * figures.top1:.1f} % | {100 * figures.top5:.1f} % "
        f"| {figures.ece:.3f} | {figures.images} | {figures.on} |"
    )


def _int8(result: Int8Result | None) -> str:
    if result is None:
        return f"This bundle has no int8 graph: {TOO_FEW}."
    if result.is_slower:
        return textwrap.fill(
            f"This bundle has no int8 graph: {'; '.join(result.misses)}, on one thread of the "
            "machine that made it.",
            99,
        )
    verdict = "int8, whose weights have seven bits, passed its gates."
    if result.misses:
        verdict = f"This bundle has no int8 graph: {'; '.join(result.misses)}."
    return textwrap.fill(
        f"{verdict} On {result.images} photos that gave no ranges, each judged by what did not "
        f"learn from it, it is right on {100 * result.top1_int8:.2f} % where fp32 is right on "
        f"{100 * result.top1_fp32:.2f} % (a loss of {100 * INT8_MAX_DROP:.1f} points is allowed), "
        f"gives fp32's label to {100 * result.agreement:.1f} %, and is {result.speedup:.2f} times "
        "as fast, on one thread of the machine that made it.",
        99,
    )
