"""The files between the service and the process of a job: work/plan.json and result.json."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.jobs.comparison import Comparison
from app.jobs.import_options import ImportRequest
from app.jobs.job import JobProblem, TrainRequest


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Plan(_Part):
    """The training or import that a process carries out, and its limits."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, serialize_by_alias=True, validate_by_name=True
    )

    train: TrainRequest | None = None
    import_: Annotated[ImportRequest | None, Field(alias="import")] = None
    data_dir: Path
    version: int
    """The version that the bundle gets."""
    serving: Path | None = None
    """The bundle of the version that serves; None: there is none."""
    resume: bool = False
    """Whether a checkpoint is continued."""
    memory_bytes: int | None = None
    """The most memory that the process may have; None: no limit."""

    @property
    def model(self) -> str:
        """The model that gets a new version."""
        work = self.train or self.import_
        assert work is not None
        return work.model


class StepLine(_Part):
    """How far a step is."""

    type: Literal["step"] = "step"
    step: str
    done: int | None = None
    total: int | None = None
    seconds_left: float | None = None


class TextLine(_Part):
    """A line of progress, as `hubel train` prints it."""

    type: Literal["text"] = "text"
    text: str


class Result(_Part):
    """The result that a process leaves beside the bundle."""

    accuracy: float | None
    photos: int
    comparison: Comparison | None = None


class Ended(_Part):
    """The last line of a process that failed in an expected way."""

    type: Literal["problem"] = "problem"
    problem: JobProblem
