"""What is known of an imported model -> its card, README.md in the bundle."""

import textwrap

from app.bundle import Manifest

_TEMPLATE = """\
# {name}

{count} classes: {labels}. Brought in by `hubel import` from {file}
(sha256 {sha256}). Its licence, and what it was trained on, whoever made it knows.

## What it reads

{size} x {size} pixels, of the centre square {crop} %, resampled with {resample}. In the graph they
are brought to ({pixel} - mean) / std, with mean {mean} and std {std},
{channels}, {layout}. These numbers came with the command: where they aren't those of the training,
answers are worse than they should be.

## What it gives

{gives}

## Figures

{figures}

{int8}

## Limits

It knows the classes above and no others, and has no rule for `unknown`. Don't let it decide over
people, medicine or safety.

## Golden photos

The bundle's own test: these give their stored probabilities, or the bundle doesn't serve. They hold
what the model said when it was imported, right or wrong.

| Photo | Label | From |
|---|---|---|
{golden}
"""
_SHOWN = 20


def write(manifest: Manifest, explains: bool, int8: str, report: bool) -> str:
    """The card, in Markdown.

    Args:
        manifest: of the bundle.
        explains: whether the graph has a pooled linear head.
        int8: what came of it.
        report: whether there is one.
    """
    names = [label.name for label in manifest.labels]
    told = manifest.training.arguments
    return _TEMPLATE.format(
        name=manifest.name,
        count=len(names),
        labels=", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else ""),
        file=told["model"],
        sha256=told["sha256"],
        size=manifest.input.size,
        crop=f"{100 * manifest.input.crop:g}",
        resample=manifest.input.resample,
        pixel="pixel / 255" if told["pixel_range"] == 1 else "pixel",
        mean=", ".join(f"{each:g}" for each in told["mean"]),
        std=", ".join(f"{each:g}" for each in told["std"]),
        channels=told["channels"].upper(),
        layout=told["layout"].upper(),
        gives=_gives(manifest, explains),
        figures=_figures(manifest, report),
        int8=textwrap.fill(
            f"{int8[0].upper()}{int8[1:]}." if int8[:4] != "int8" else f"{int8}.", 99
        ),
        golden="\n".join(f"| {p.file} | {p.label} | {p.source} |" for p in manifest.golden.photos),
    )


def _gives(manifest: Manifest, explains: bool) -> str:
    kind = manifest.training.arguments["output_kind"]
    temperature = manifest.calibration.temperature if manifest.calibration else 1
    maps = (
        "It ends with a pooled linear head, so embeddings and class activation maps are exact."
        if explains
        else "No pooled linear head was recognised in it, so it has no embedding and no class "
        "activation map."
    )
    return textwrap.fill(
        f"Its output was taken for {kind}; the temperature is {temperature:.3f}. {maps}", 99
    )


def _figures(manifest: Manifest, report: bool) -> str:
    if not manifest.metrics:
        return "None: it was imported without photos to measure it on."
    rows = [
        f"| {precision} | {100 * each.top1:.1f} % | {100 * each.top5:.1f} % | {each.ece:.3f} "
        f"| {each.images} | {each.on} |"
        for precision, each in manifest.metrics.items()
    ]
    head = [
        "| Precision | Top-1 | Top-5 | ECE | Photos | Measured on |",
        "|---|---|---|---|---|---|",
    ]
    more = [
        "",
        "[The report](report/index.html) shows figures by class, and the mistakes.",
    ]
    return "\n".join([*head, *rows, *(more if report else [])])
