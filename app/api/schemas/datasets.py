"""The requests and responses of /api/v1/datasets."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app import dataset_store
from app.api.schemas.problem_details import Problem
from app.errors import HubelError

MAX_IDS = 500
"""The most photos that one request may delete."""
_MAX_LABELS = 1000
_ID = "5f2b7c0d9e1a4c3b8d6f0e2a1c4b7d90"


class DatasetLabel(BaseModel):
    """A label of a dataset."""

    label: str
    photos: int


class DatasetWarning(BaseModel):
    """Something that a model would learn badly from."""

    code: Annotated[
        Literal["too_few", "two_labels", "one_label"],
        Field(
            description="`too_few`: a label has few photos. `one_label`: there is only one. "
            "`two_labels`: photos lie under several labels of a dataset with one label a photo."
        ),
    ]
    detail: Annotated[str, Field(description="What it is, and what to do about it.")]
    label: str | None = None
    photos: Annotated[
        list[str], Field(description="Ids of photos that it is about, at most 50.")
    ] = []


class Dataset(BaseModel):
    """A dataset in figures."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "pets",
                    "photos": 34,
                    "bytes": 1834201,
                    "several_labels": False,
                    "labels": [{"label": "cat", "photos": 30}, {"label": "dog", "photos": 4}],
                    "warnings": [
                        {
                            "code": "too_few",
                            "detail": "dog has 4 photos. Add some: 10 at least, better 30.",
                            "label": "dog",
                            "photos": [],
                        }
                    ],
                    "modified": "2026-11-29T13:00:00Z",
                }
            ]
        }
    )

    name: str
    photos: int
    bytes: int
    several_labels: Annotated[bool, Field(description="Whether a photo has several labels.")]
    labels: list[DatasetLabel]
    warnings: list[DatasetWarning]
    modified: datetime


class DatasetList(BaseModel):
    """All datasets."""

    datasets: list[Dataset]


class DatasetPhoto(BaseModel):
    """A photo of a dataset."""

    id: Annotated[str, Field(description="Half of the SHA-256 of the file that is kept.")]
    labels: list[str]
    bytes: int
    format: str
    width: int
    height: int


class DatasetPhotoList(BaseModel):
    """A page of photos, the newest first."""

    photos: list[DatasetPhoto]
    next: Annotated[
        str | None, Field(description="Send it as `after` for the next page. null: the last page.")
    ]


class SentPhotoResult(BaseModel):
    """The result for a photo: it is in the dataset, or there is a problem."""

    file: Annotated[str, Field(description="The name that was sent.")]
    id: str | None = None
    labels: Annotated[list[str] | None, Field(description="All labels that it has now.")] = None
    status: Annotated[
        Literal["added", "present", "moved"] | None,
        Field(
            description="`added`: as a new photo, or with one more label. `present`: nothing "
            "changed. `moved`: from other labels to these."
        ),
    ] = None
    problem: Problem | None = None


class SkippedFile(BaseModel):
    """A file of a zip that isn't used."""

    file: str
    reason: str


class PhotosAdded(BaseModel):
    """The results for the photos of a request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "added": 1,
                    "present": 1,
                    "moved": 0,
                    "results": [
                        {"file": "a.jpg", "id": _ID, "labels": ["cat"], "status": "added"},
                        {"file": "b.jpg", "id": _ID, "labels": ["cat"], "status": "present"},
                    ],
                    "skipped": [],
                }
            ]
        }
    )

    added: int
    present: int
    moved: int
    results: Annotated[list[SentPhotoResult], Field(description="In the order of the files.")]
    skipped: Annotated[
        list[SkippedFile], Field(description="Files of a zip that aren't used, the first 1000.")
    ]


class PhotosDeleted(BaseModel):
    """How many photos were deleted."""

    changed: int


class DatasetChange(BaseModel):
    """A change of the labels of a dataset."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"rename": {"kitty": "cat"}, "remove": ["bird"]}]},
    )

    rename: Annotated[
        dict[str, str],
        Field(
            max_length=_MAX_LABELS,
            description="New names by old ones. Labels are merged where the new one exists.",
        ),
    ] = {}
    remove: Annotated[
        list[str],
        Field(
            max_length=_MAX_LABELS,
            description="Labels to remove, with the photos that have no other one.",
        ),
    ] = []

    @model_validator(mode="after")
    def _check_something_is_changed(self) -> "DatasetChange":
        if not self.rename and not self.remove:
            raise ValueError("send rename or remove")
        return self


def dataset_response(dataset: dataset_store.Dataset) -> Dataset:
    """Return the response for a dataset."""
    return Dataset(
        name=dataset.name,
        photos=dataset.photos,
        bytes=dataset.bytes,
        several_labels=dataset.several_labels,
        labels=[DatasetLabel(label=each.label, photos=each.photos) for each in dataset.labels],
        warnings=[
            DatasetWarning(
                code=each.code, detail=each.detail, label=each.label, photos=list(each.photos)
            )
            for each in dataset.warnings
        ],
        modified=datetime.fromtimestamp(dataset.modified, UTC),
    )


def photo_response(photo: dataset_store.StoredPhoto) -> DatasetPhoto:
    """Return the response for a photo of a dataset."""
    return DatasetPhoto(
        id=photo.id,
        labels=list(photo.labels),
        bytes=photo.bytes,
        format=photo.format,
        width=photo.width,
        height=photo.height,
    )


def added_response(
    added: dataset_store.Added,
    skipped: list[SkippedFile],
    problem_of: Callable[[HubelError], Problem],
) -> PhotosAdded:
    """Return the response for photos that were sent."""
    return PhotosAdded(
        added=added.count("added"),
        present=added.count("present"),
        moved=added.count("moved"),
        results=[
            SentPhotoResult(
                file=each.file,
                id=each.id,
                labels=None if each.id is None else list(each.labels),
                status=each.status,
                problem=None if each.problem is None else problem_of(each.problem),
            )
            for each in added.results
        ],
        skipped=skipped,
    )
