"""Figures that were measured on photos: calibration, metrics, and the baseline for drift."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, PositiveInt, Tag

from app.bundle.part import Part, Precision, Share, Task


class Calibration(Part):
    """The temperature by which the graph divides the logits.

    In a multi-label model each label has a scale and an offset of its own instead (Platt 1999,
    "Probabilistic Outputs for Support Vector Machines"), and the ECE is the mean over the labels.

    ECE is the expected calibration error over 15 equal-width bins of top-1 confidence
    (Guo et al. 2017, "On Calibration of Modern Neural Networks").
    """

    temperature: Annotated[float, Field(gt=0)]
    """1 in a multi-label model."""
    scales: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    """Of a multi-label model: the factor of each label's logit."""
    offsets: tuple[float, ...] | None = None
    """Of a multi-label model: the number that is added to each label's scaled logit."""
    ece_before: Share
    """ECE of the logits as they are."""
    ece_after: Share
    """ECE of the calibrated logits."""
    images: PositiveInt
    on: str
    """The photos that ECE was measured on, and how those for fitting were separated from them."""


class Metrics(Part):
    """Figures of one precision, measured from bytes with the bundle's own preprocessing."""

    top1: Share
    top5: Share
    ece: Share
    images: PositiveInt
    on: str
    """The photos that the figures were measured on."""


class MultiLabelMetrics(Part):
    """Figures of one precision of a multi-label model, measured like `Metrics`."""

    mean_average_precision: Share
    """The mean, over the labels that occur, of the area under the precision-recall curve."""
    f1_micro: Share
    """F1 of the accepted labels of all photos together."""
    f1_macro: Share
    """The mean of the labels' F1, over those that occur."""
    exact: Share
    """Share of the photos whose accepted labels are exactly the right ones."""
    ece: Share
    """The mean over the labels of the ECE of their probabilities."""
    images: PositiveInt
    on: str
    """The photos that the figures were measured on."""


Count = Annotated[int, Field(ge=0)]


def _task_of(metrics: Any) -> Task:
    """Return the task that metrics, parsed or not, belong to."""
    if isinstance(metrics, Mapping):
        return "multi_label" if "mean_average_precision" in metrics else "single_label"
    return "multi_label" if isinstance(metrics, MultiLabelMetrics) else "single_label"


AnyMetrics = Annotated[
    Annotated[Metrics, Tag("single_label")] | Annotated[MultiLabelMetrics, Tag("multi_label")],
    Discriminator(_task_of),
]


class EmbeddingBaseline(Part):
    """The mean and the spread of the embeddings of the test photos, by one graph."""

    mean: Annotated[tuple[float, ...], Field(min_length=1)]
    """(D,) the mean embedding."""
    variance: Annotated[float, Field(gt=0)]
    """The sum of the variances of all D numbers."""
    dimensions: Annotated[float, Field(ge=1)]
    """The effective number of dimensions: the squared sum of the covariance's eigenvalues over the
    sum of their squares. The chance in a mean of few photos follows from it."""


class Baseline(Part):
    """The predictions on the test photos, a reference for drift in production."""

    images: PositiveInt
    confidence: tuple[int, ...]
    """Histogram of top-1 confidence in equal-width bins over 0..1."""
    decisions: Mapping[str, Count] | None = None
    """The number of photos by decision: accepted, unsure, unknown. None: not measured."""
    labels: tuple[Count, ...] | None = None
    """For each label, the photos for which it is the most probable one, or is accepted in a
    multi-label model. None: not measured."""
    embeddings: Mapping[Precision, EmbeddingBaseline] | None = None
    """By the graph that made them. None: not measured, or the graph has none."""
