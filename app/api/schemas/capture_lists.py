"""The parameters and responses of lists of captures: which photos, in which order, how many."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.captures import Filter
from app.captures.counts import Counts

_MAX_PAGE = 500
MAX_LISTED = 100_000
"""The most ids that one response has."""


class FilterParameters(BaseModel):
    """Which captures a list has."""

    model: Annotated[str | None, Field(description="Only photos that this model saw.")] = None
    decision: Annotated[
        Literal["accepted", "unsure", "unknown"] | None, Field(description="Only this decision.")
    ] = None
    label: Annotated[str | None, Field(description="Only with this label of people.")] = None
    predicted: Annotated[
        str | None, Field(description="Only with this label as the most probable one.")
    ] = None
    labelled: Annotated[
        bool | None, Field(description="Only photos about which somebody, or nobody, has said.")
    ] = None
    since: Annotated[datetime | None, Field(description="Only from this time on.")] = None
    until: Annotated[datetime | None, Field(description="Only before this time.")] = None

    @property
    def filter(self) -> Filter:
        """The filter of the store."""
        return Filter(
            *(self.model, self.decision, self.label, self.predicted, self.labelled),
            *(_milliseconds(self.since), _milliseconds(self.until)),
        )


class ListParameters(FilterParameters):
    """The parameters of a page of captures."""

    id: Annotated[
        list[Annotated[int, Field(ge=1, lt=1 << 63)]],
        Field(max_length=_MAX_PAGE, description="Only these photos."),
    ] = []
    order: Annotated[
        Literal["newest", "unsure"], Field(description="`unsure`: the least confident first.")
    ] = "newest"
    count: Annotated[int, Field(ge=1, le=_MAX_PAGE, description="Photos of a page.")] = 100
    after: Annotated[str | None, Field(description="`next` of the page before.")] = None

    @property
    def filter(self) -> Filter:
        """The filter of the store."""
        found = super().filter
        return Filter(**{**vars(found), "ids": tuple(self.id)}) if self.id else found


class IdsParameters(FilterParameters):
    """The parameters of a list of ids."""

    order: Annotated[
        Literal["newest", "unsure", "varied"],
        Field(
            description="`unsure`: the least confident first. `varied`: first photos that the "
            "model could not decide about, and photos that look alike to it apart from each other."
        ),
    ] = "varied"


class CaptureIds(BaseModel):
    """The ids of a list of captures, in its order."""

    ids: list[int]
    more: Annotated[
        bool, Field(description=f"Whether the list is longer than its first {MAX_LISTED:,} ids.")
    ]


class NameCount(BaseModel):
    """A name and the number of captures that have it."""

    name: str
    captures: int


class CaptureCounts(BaseModel):
    """The numbers of captures; all but `models` are those of the model that was given, if any."""

    captures: int
    labelled: int
    models: list[NameCount]
    decisions: list[NameCount]
    predicted: Annotated[
        list[NameCount], Field(description="By the most probable label; at most 1,000 labels.")
    ]
    labels: Annotated[
        list[NameCount], Field(description="By the labels of people; at most 1,000 labels.")
    ]


def counts_response(counts: Counts) -> CaptureCounts:
    """Return the response for counts."""
    return CaptureCounts(
        captures=counts.captures,
        labelled=counts.labelled,
        models=_named(counts.models),
        decisions=_named(counts.decisions),
        predicted=_named(counts.predicted),
        labels=_named(counts.labels),
    )


def _named(counts: dict[str, int]) -> list[NameCount]:
    return [NameCount(name=name, captures=number) for name, number in counts.items()]


def _milliseconds(time: datetime | None) -> int | None:
    """Return milliseconds since 1970; a time without a zone is in UTC."""
    if time is None:
        return None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1e3)
