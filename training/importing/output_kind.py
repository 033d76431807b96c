"""Logits or probabilities: from the last operator of a graph, an option, and the values themselves.

Softmax at the end            probabilities, and the tensor that it reads holds logits
LogSoftmax                    logits
Sigmoid, one output           a binary classifier: the probability of the second label
Sigmoid, several outputs      probabilities of a multi-label model, a photo may have several labels
anything else                 rows that sum to 1: probabilities; values beyond 0..1: logits

--task multi_label says the same of a graph without a Sigmoid, or of one output with one label.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from app.bundle import Task
from training import calibration
from training.errors import DataUnusable

Kind = Literal["logits", "probabilities"]
_SKIPPED = frozenset(
    {"Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Cast", "Dropout", "Concat"}
)
"""Operators that may stand between a Softmax or a Sigmoid and the output."""
_SUM_TOLERANCE = 1e-2
"""The distance from 1 that the sum of a row of probabilities may have."""
_BINARY = 2


@dataclass(frozen=True)
class OutputForm:
    """The form in which a tensor holds the classes."""

    tensor: str
    kind: Kind
    logits: str | None = None
    """The tensor that the last Softmax or Sigmoid reads; None where none ends the graph."""
    is_binary: bool = False
    """True if it holds one number, for the second of two labels."""
    task: Task = "single_label"
    note: str | None = None
    """How the kind was derived, where the values decided."""

    def probabilities(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities (N, K) of the tensor's own values (N, K) or, if binary, (N, 1)."""
        if self.task == "multi_label":
            return rows if self.kind == "probabilities" else calibration.sigmoid(rows)
        if not self.is_binary:
            return rows if self.kind == "probabilities" else calibration.softmax(rows)
        if self.kind == "logits":
            return calibration.softmax(np.hstack([np.zeros_like(rows), rows]))
        return np.hstack([1 - rows, rows])


def output_form(
    model: onnx.ModelProto,
    tensor: str,
    stated: Kind | None,
    values: NDArray[np.float64],
    task: Task | None = None,
) -> OutputForm:
    """Return the form of a tensor.

    Args:
        model: the model.
        tensor: the tensor that holds the classes.
        stated: the kind on the command line; None to derive it.
        values: (N, K) its values for some photos; K = 1 for a binary classifier.
        task: the task on the command line; None: multi_label if there is a Sigmoid for each of
            several labels.

    Raises:
        DataUnusable: the kind or the task contradicts the graph or the values, or can't be derived.
    """
    op, before = _last(model, tensor)
    is_binary = values.shape[1] == 1
    if task == "multi_label" or (task is None and op == "Sigmoid" and not is_binary):
        return _multi_label(tensor, op, before, stated, values)
    if op == "Softmax" and not is_binary:
        if stated == "logits":
            raise DataUnusable(
                "The model ends with a Softmax, so it gives probabilities. Leave out --output-kind."
            )
        _require_probabilities(tensor, values)
        return OutputForm(tensor, "probabilities", before)
    if op == "LogSoftmax":  # logarithms of probabilities are logits
        return OutputForm(tensor, "logits")
    if op == "Sigmoid":
        if is_binary:
            return OutputForm(tensor, "probabilities", before, is_binary=True, note=_BINARY_NOTE)
        raise DataUnusable(_not_single_label(values.shape[1], before))
    return _from_values(tensor, op, stated, values)


_SEVERAL_NOTE = "a multi-label model: a photo may have several of its labels, or none"
_BINARY_NOTE = "a binary classifier: its one output is the probability of the second label"


def _last(model: onnx.ModelProto, tensor: str) -> tuple[str, str | None]:
    """Return the operator that decides on the kind of `tensor`, and what it reads."""
    producers = {name: node for node in model.graph.node for name in node.output}
    last = producers.get(tensor)
    while last is not None and last.op_type in _SKIPPED:
        if last.op_type == "Concat" and len(last.input) > 1:
            break
        last = producers.get(last.input[0])
    return ("", None) if last is None else (last.op_type, last.input[0])


def _multi_label(
    tensor: str, op: str, before: str | None, stated: Kind | None, values: NDArray[np.float64]
) -> OutputForm:
    """Return the form of a tensor that holds a number for each label, decided by itself."""
    if op in ("Softmax", "LogSoftmax"):
        raise DataUnusable(
            f"The model ends with a {op}, so exactly one label is right for a photo. "
            "Leave out --task multi_label."
        )
    if op == "Sigmoid":
        if stated == "logits":
            raise DataUnusable(
                "The model ends with a Sigmoid, so it gives probabilities. Leave out --output-kind."
            )
        return OutputForm(tensor, "probabilities", before, task="multi_label", note=_SEVERAL_NOTE)
    low, high = float(values.min()), float(values.max())
    in_range = low >= 0 and high <= 1
    if stated == "probabilities" and not in_range:
        raise DataUnusable(
            f"The output {tensor!r} is no probabilities: it holds values from {low:.3g} to "
            f"{high:.3g}. Pass --output-kind logits."
        )
    kind: Kind = stated or ("probabilities" if in_range else "logits")
    note = f"{_SEVERAL_NOTE}; {tensor!r} holds values from {low:.3g} to {high:.3g}, read as {kind}"
    return OutputForm(tensor, kind, task="multi_label", note=note)


def _from_values(
    tensor: str, op: str, stated: Kind | None, values: NDArray[np.float64]
) -> OutputForm:
    is_binary = values.shape[1] == 1
    in_range = bool(values.min() >= -_SUM_TOLERANCE and values.max() <= 1 + _SUM_TOLERANCE)
    if is_binary:
        if stated == "probabilities" and not in_range:
            raise DataUnusable(
                f"The output {tensor!r} is no probability: it is {values.flat[0]:.3g} for a photo. "
                "Pass --output-kind logits."
            )
        if stated is None and in_range:
            raise DataUnusable(_ambiguous(tensor, op))
        return OutputForm(tensor, stated or "logits", is_binary=True, note=_BINARY_NOTE)
    if stated is not None:
        if stated == "probabilities":
            _require_probabilities(tensor, values)
        return OutputForm(tensor, stated)
    if _are_probabilities(values):
        return OutputForm(
            tensor, "probabilities", note=f"the rows of {tensor!r} sum to 1, so it is probabilities"
        )
    if in_range:
        raise DataUnusable(_ambiguous(tensor, op))
    return OutputForm(
        tensor,
        "logits",
        note=f"{tensor!r} holds values from {values.min():.3g} to {values.max():.3g}, so it is "
        "logits",
    )


def _are_probabilities(values: NDArray[np.float64]) -> bool:
    sums = values.sum(axis=1)
    return bool(values.min() >= -_SUM_TOLERANCE and np.abs(sums - 1).max() <= _SUM_TOLERANCE)


def _require_probabilities(tensor: str, values: NDArray[np.float64]) -> None:
    if not _are_probabilities(values):
        raise DataUnusable(
            f"The output {tensor!r} is not probabilities: a row sums to "
            f"{values.sum(axis=1)[0]:.3g}. Pass --output-kind logits, or name the logits with "
            "--output-name."
        )


def _ambiguous(tensor: str, op: str) -> str:
    return (
        f"The model ends with {op or 'its input'}, and all values of its output {tensor!r} lie "
        "between 0 and 1 without summing to 1, so they may be logits, or a probability for each "
        "label. Pass --output-kind logits if exactly one label is right for a photo, or --task "
        "multi_label if a photo may have several."
    )


def _not_single_label(count: int, logits: str | None) -> str:
    return (
        f"The model ends with a Sigmoid for each of its {count} outputs: a photo may have several "
        "labels at once. Leave out --task, or if exactly one label is right for each photo, "
        f"pass the logits: --output-name {logits} --output-kind logits."
    )
