"""A job: what was requested, its state, its progress and its result; as JSON in a file and in HTTP.

queued -> running -> done | failed | cancelled | interrupted -> queued again, once it is resumed
"""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.bundle import Name
from app.jobs.comparison import Comparison
from app.jobs.import_options import ImportRequest
from app.jobs.train_options import Recipe, TrainOptions

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
Promote = Literal["if_not_worse", "offer"]
Outcome = Literal["promoted", "offered", "held"]
Kind = Literal["train", "import"]
DatasetName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled", "interrupted"})


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainRequest(_Request):
    """A training: the photos, the model and the options."""

    dataset: Annotated[DatasetName | None, Field(description="Dataset to train on.")] = None
    captures: Annotated[
        bool, Field(description="Whether the labelled captures of the model are used, too.")
    ] = False
    model: Annotated[Name, Field(description="Model that gets a new version.")]
    recipe: Recipe = "head"
    options: TrainOptions = TrainOptions()

    @model_validator(mode="after")
    def _check_photos(self) -> Self:
        if self.dataset is None and not self.captures:
            raise ValueError("name a dataset, or set captures to true, or both")
        self.options.check_recipe(self.recipe)
        return self


class JobRequest(_Request):
    """A job to run: a training or an import."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, serialize_by_alias=True, validate_by_name=True
    )

    train: TrainRequest | None = None
    import_: Annotated[
        ImportRequest | None,
        Field(alias="import", description="An ONNX file that was sent to /api/v1/uploads."),
    ] = None
    promote: Annotated[
        Promote | None,
        Field(
            description="`if_not_worse`: the new version serves unless it is worse. `offer`: it is "
            "held back until it is promoted by hand. null: HUBEL_JOB_PROMOTE."
        ),
    ] = None

    @model_validator(mode="after")
    def _check_one_is_given(self) -> Self:
        if (self.train is None) == (self.import_ is None):
            raise ValueError("send train or import, and only one of them")
        return self

    @property
    def kind(self) -> Kind:
        """What is done."""
        return "import" if self.train is None else "train"

    @property
    def model(self) -> str:
        """The model that gets a new version."""
        work = self.train or self.import_
        assert work is not None
        return work.model


class Progress(BaseModel):
    """How far a job is."""

    step: Annotated[str, Field(description="Present step, such as `embedding photos`.")] = "queued"
    detail: Annotated[str, Field(description="Last line about it.")] = ""
    done: int | None = None
    total: int | None = None
    seconds_left: Annotated[float | None, Field(description="Of this step.")] = None


class JobProblem(BaseModel):
    """Why a job has no result."""

    code: str
    detail: str


class JobResult(BaseModel):
    """The new version of the model."""

    model: str
    version: int
    accuracy: Annotated[float | None, Field(description="On the photos of the test split.")]
    photos: Annotated[int, Field(description="Photos that the version was made from.")]
    outcome: Annotated[
        Outcome,
        Field(description="`offered` and `held`: it is loaded, and serves those who name it."),
    ]
    reason: str
    report: Annotated[str | None, Field(description="Path of the training report.")]
    comparison: Annotated[
        Comparison | None, Field(description="With the version that served; null: there was none.")
    ] = None


class Job(BaseModel):
    """A job."""

    id: str
    kind: Kind = "train"
    state: State = "queued"
    request: JobRequest
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    progress: Progress = Progress()
    problem: JobProblem | None = None
    result: JobResult | None = None
    can_resume: Annotated[
        bool, Field(description="Whether POST …/resume continues it, or begins it again.")
    ] = False

    def without_pictures(self) -> "Job":
        """Return the job without the pictures of its comparison, for lists."""
        if self.result is None or self.result.comparison is None:
            return self
        plain = self.result.comparison.without_pictures()
        return self.model_copy(
            update={"result": self.result.model_copy(update={"comparison": plain})}
        )
