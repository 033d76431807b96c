"""The response of /api/v1/models/{name}/versions/{v}/shadow."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.runtime.trials import Disagreement, TrialStatus
from app.runtime.trials.comparison import LabelProbability, Latency

_DECIMALS = 4


class LabelAndProbability(BaseModel):
    """A label that a version has named."""

    label: str
    probability: float


class ShadowDisagreement(BaseModel):
    """An image for which the two versions name different labels."""

    request_id: str
    index: Annotated[int, Field(description="Place of the image, or crop, in the request.")]
    at: datetime
    serving: Annotated[
        list[LabelAndProbability],
        Field(
            description="Most probable label of the serving version; of a multi-label model, the "
            "accepted ones."
        ),
    ]
    shadow: list[LabelAndProbability]


class RunLatency(BaseModel):
    """The time of a version's runs on one image, without decoding."""

    mean_ms: float
    p95_ms: float


class ShadowReport(BaseModel):
    """The comparison of a shadowed version with the serving one."""

    model: str
    version: int
    state: Annotated[
        Literal["none", "running", "not_ready", "ended"],
        Field(
            description="`none`: it wasn't shadowed since the process began. `not_ready`: one of "
            "the two versions isn't loaded."
        ),
    ]
    reason: Annotated[
        str | None, Field(description="Reason why it isn't ready, or has ended by itself.")
    ]
    share: Annotated[
        float | None, Field(description="Share of images. null unless it is shadowed now.")
    ]
    serving_version: Annotated[int | None, Field(description="Version that it is compared with.")]
    since: Annotated[
        datetime | None,
        Field(description="Start of the comparison. A new one starts if either version changes."),
    ]
    images: Annotated[int, Field(description="Images that both versions have seen.")]
    agreed: Annotated[int, Field(description="Those of them with the same labels.")]
    agreement: Annotated[float | None, Field(description="Share of images with the same labels.")]
    agreement_interval: Annotated[
        tuple[float, float] | None, Field(description="95 % confidence interval of the agreement.")
    ]
    mean_difference: Annotated[
        float | None,
        Field(description="Mean over the images of the largest difference of a probability."),
    ]
    serving_latency: Annotated[
        RunLatency | None, Field(description="Times of the last 1,000 of these images.")
    ]
    shadow_latency: RunLatency | None
    earned_seconds: Annotated[
        float,
        Field(description="Time that shadow runs may take: the share of that of the responses."),
    ]
    spent_seconds: Annotated[float, Field(description="Time that shadow runs took.")]
    failed: Annotated[int, Field(description="Images for which the version gave an error.")]
    last_error: str | None
    dropped: Annotated[
        dict[str, int],
        Field(
            description="Selected images that were not run, by reason: `busy`, `cost`, `memory`, "
            "`large`, `ended`, or `input`: pixels that the version can't read."
        ),
    ]
    disagreements: Annotated[
        list[ShadowDisagreement], Field(description="The last 100, the newest first.")
    ]


def shadow_report(name: str, version: int, status: TrialStatus) -> ShadowReport:
    """Return the response about a version."""
    report = status.report
    return ShadowReport(
        model=name,
        version=version,
        state=status.state,
        reason=status.reason,
        share=status.share,
        serving_version=status.serving,
        since=None if report.since is None else datetime.fromtimestamp(report.since, UTC),
        images=report.images,
        agreed=report.agreed,
        agreement=_rounded(report.agreement),
        agreement_interval=_interval(report.agreement_interval),
        mean_difference=_rounded(report.mean_difference),
        serving_latency=_latency(report.serving_latency),
        shadow_latency=_latency(report.shadow_latency),
        earned_seconds=round(report.earned_s, _DECIMALS),
        spent_seconds=round(report.spent_s, _DECIMALS),
        failed=report.failed,
        last_error=report.last_error,
        dropped=dict(report.dropped),
        disagreements=[_disagreement(each) for each in report.disagreements],
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)


def _interval(limits: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if limits is None else (round(limits[0], _DECIMALS), round(limits[1], _DECIMALS))


def _latency(latency: Latency | None) -> RunLatency | None:
    if latency is None:
        return None
    return RunLatency(mean_ms=round(latency.mean_s * 1e3, 2), p95_ms=round(latency.p95_s * 1e3, 2))


def _disagreement(each: Disagreement) -> ShadowDisagreement:
    return ShadowDisagreement(
        request_id=each.request_id,
        index=each.index,
        at=datetime.fromtimestamp(each.at, UTC),
        serving=_labels(each.serving),
        shadow=_labels(each.shadow),
    )


def _labels(labels: tuple[LabelProbability, ...]) -> list[LabelAndProbability]:
    return [
        LabelAndProbability(label=label, probability=round(probability, _DECIMALS))
        for label, probability in labels
    ]
