"""The errors that training raises for problems that a user can solve.

HubelError
`-- TrainingError        training can't go on
    |-- DataUnusable     photos, labels or arguments can't be used; exit code 2
    |   `-- SplitUnclear folders may be classes or the parts of a split
    `-- GateMissed       the result is not good enough to be written; exit code 1
        `-- PromiseUnattainable    no acceptance threshold keeps the promised precision
"""

from collections.abc import Mapping

from app.dataset.split_names import Part
from app.errors import HubelError


class TrainingError(HubelError):
    """Training can't go on."""

    code = "training_error"
    title = "Training error"


class DataUnusable(TrainingError):
    """Photos, labels or arguments can't be used."""

    code = "data_unusable"
    title = "Unusable data"


class SplitUnclear(DataUnusable):
    """Folders may be classes or the parts of a split.

    Attributes:
        suggested: the part that each folder probably holds.
    """

    code = "split_unclear"
    title = "Unclear split"

    def __init__(self, message: str, suggested: Mapping[str, Part]) -> None:
        super().__init__(message)
        self.suggested = suggested


class GateMissed(TrainingError):
    """The result is not good enough to be written."""

    code = "gate_missed"
    title = "Gate missed"


class PromiseUnattainable(GateMissed):
    """No acceptance threshold keeps the promised precision."""

    code = "promise_unattainable"
    title = "Unattainable promise"
