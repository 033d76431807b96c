"""The errors that training raises for problems that a user can solve.

HubelError
`-- TrainingError        training can't go on
    |-- DataUnusable     photos, labels or arguments can't be used; exit code 2
    `-- GateMissed       the result is not good enough to be written; exit code 1
"""

from app.errors import HubelError


class TrainingError(HubelError):
    """Training can't go on."""

    code = "training_error"
    title = "Training error"


class DataUnusable(TrainingError):
    """Photos, labels or arguments can't be used."""

    code = "data_unusable"
    title = "Unusable data"


class GateMissed(TrainingError):
    """The result is not good enough to be written."""

    code = "gate_missed"
    title = "Gate missed"
