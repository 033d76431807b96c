"""The response of /api/v1/models/{name}/drift."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.runtime.drift import Distance, Drift, Statistic
from app.runtime.loaded_model import Model

_DECIMALS = 4

DriftStatus = Annotated[
    Literal["no_baseline", "too_few", "stable", "moderate", "significant"],
    Field(
        description="`significant` from the limit, `moderate` from 0.1, if chance alone doesn't "
        "reach that; else `stable`. `too_few`: fewer than 200 predictions. `no_baseline`: the "
        "bundle has nothing to compare with."
    ),
]


class DriftBin(BaseModel):
    """A bin of a histogram, or a group of adjacent ones."""

    name: str
    expected: Annotated[float, Field(description="Share in the bundle's baseline.")]
    actual: Annotated[float, Field(description="Share in the window.")]


class DriftStatistic(BaseModel):
    """The drift of one property of the predictions."""

    of: Literal["decision", "label", "confidence"]
    psi: Annotated[float, Field(description="Population stability index.")]
    limit: Annotated[
        float,
        Field(
            description="Index from which the drift is significant: 0.25, or what chance reaches "
            "in one of a thousand windows, if that is more."
        ),
    ]
    status: DriftStatus
    bins: list[DriftBin]


class DriftDistance(BaseModel):
    """The distance of the mean embedding of the window from that of the baseline."""

    distance: Annotated[
        float,
        Field(description="Euclidean distance, in units of the spread of single photos."),
    ]
    limit: Annotated[
        float,
        Field(
            description="Distance from which the drift is significant: 0.2, or what chance "
            "reaches in one of a thousand windows, if that is more."
        ),
    ]
    status: DriftStatus


class DriftReport(BaseModel):
    """The drift of one version of a model: its last predictions and its bundle's baseline."""

    model: str
    version: int
    status: DriftStatus
    images: Annotated[int, Field(description="Predictions in the window.")]
    since: Annotated[
        datetime | None, Field(description="Start of the window. null if it is empty.")
    ]
    baseline_images: Annotated[
        int | None, Field(description="Photos that the baseline was measured on.")
    ]
    statistics: Annotated[
        list[DriftStatistic],
        Field(description="Those for which the baseline has figures; older bundles have fewer."),
    ]
    embedding: Annotated[
        DriftDistance | None,
        Field(description="null for a bundle without embeddings in its baseline."),
    ]


def drift_report(model: Model, drift: Drift) -> DriftReport:
    """Return the response about the drift of `model`."""
    baseline = model.manifest.baseline
    return DriftReport(
        model=model.name,
        version=model.version,
        status=drift.status,
        images=drift.images,
        since=None if drift.since is None else datetime.fromtimestamp(drift.since, UTC),
        baseline_images=baseline.images if baseline else None,
        statistics=[_statistic(each) for each in drift.statistics],
        embedding=_distance(drift.embedding),
    )


def _distance(distance: Distance | None) -> DriftDistance | None:
    if distance is None:
        return None
    return DriftDistance(
        distance=round(distance.distance, _DECIMALS),
        limit=round(distance.limit, _DECIMALS),
        status=distance.status,
    )


def _statistic(statistic: Statistic) -> DriftStatistic:
    return DriftStatistic(
        of=statistic.of,
        psi=round(statistic.psi, _DECIMALS),
        limit=round(statistic.limit, _DECIMALS),
        status=statistic.status,
        bins=[
            DriftBin(
                name=name, expected=round(expected, _DECIMALS), actual=round(actual, _DECIMALS)
            )
            for name, expected, actual in zip(
                statistic.bins, statistic.expected, statistic.actual, strict=True
            )
        ],
    )
