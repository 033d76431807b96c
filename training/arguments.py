"""The arguments of `hubel train`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.bundle import Fit, Task
from app.dataset.label_table import Form
from app.dataset.split_names import Part
from training.contracts import Recipe
from training.data.split import MIN_PHOTOS
from training.packaging.promise import Promise


@dataclass(frozen=True)
class Arguments:
    """The arguments of the command."""

    data: Path
    output: Path
    recipe: Recipe
    name: str
    version: int
    seed: int
    force: bool = False
    """Whether foreign files in the output are kept beside the bundle, or end the run."""
    labels_from: Form | None = None
    """Where the labels come from; None: labels.csv if there is one, else the folders."""
    split: Mapping[str, Part] | None = None
    """The part that each folder of the data holds; empty: no split; None: by their names."""
    min_photos: int = MIN_PHOTOS
    """Different photos that each class must have."""
    fit: Fit | Literal["auto"] | None = None
    """How photos that aren't square are read; auto: selected by cross-validation; None: as the
    recipe's input says."""
    skip_small: bool = False
    """Whether classes with fewer photos are left out, or end the run."""
    fixes: Path | None = None
    """A table of corrected labels; None: the labels are used as they are."""
    promise: Promise | None = None
    """The precision of accepted predictions that is promised; None: nothing is."""
    split_of: Path | None = None
    """The bundle of an earlier version, whose photos stay in the parts that they were in; None: the
    split is new."""
    task: Task | None = None
    """Whether a photo has exactly one label or any number; None: as its table says."""

    def metadata(self) -> dict[str, Any]:
        """Return the arguments for bundle.json; a folder is recorded by its last name only."""
        return {
            "data": self.data.resolve().name,
            "recipe": self.recipe.name,
            "fit": self.fit or self.recipe.input.fit,
            "seed": self.seed,
            **({} if self.fixes is None else {"fixes": self.fixes.name}),
            **self._promise(),
            **self.recipe.metadata,
        }

    def _promise(self) -> dict[str, Any]:
        if self.promise is None:
            return {}
        return {
            "accept_precision": self.promise.precision,
            "accept_per_class": self.promise.per_class,  # None: where there are plenty of photos
        }

    @property
    def checkpoint(self) -> Path:
        """The folder from which an interrupted run can be resumed."""
        return self.output.with_name(f".{self.output.name}.checkpoint")
