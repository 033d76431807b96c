"""The decision about a prediction: accepted, unsure or unknown.

probabilities, familiarity -> the score of the out-of-distribution threshold -> `decide`

The thresholds come from bundle.json: `unknown` and `decision`. docs/decisions/promise.md
and calibration.md say how they are chosen.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.bundle import SURE_FROM, DecisionRule, Manifest, UnknownRule
from app.runtime.accepted_labels import is_undecided

Decision = Literal["accepted", "unsure", "unknown"]

_SCORE_DECIMALS = 9
"""Decimal places of a score: with six, one under the threshold could look equal to it."""


@dataclass(frozen=True)
class UnknownScore:
    """The score of a photo that decides whether it is unknown."""

    name: Literal["familiarity", "max_probability"]
    value: float
    """NaN if the model gave none."""
    threshold: float
    """A lower value is unknown."""

    @property
    def shown_value(self) -> float | None:
        """The value with the digits of a float32, for responses; None for NaN."""
        return None if math.isnan(self.value) else round(self.value, _SCORE_DECIMALS)

    @property
    def is_unknown(self) -> bool:
        """True if the photo resembles no training photo; a NaN is under every threshold."""
        return not self.value >= self.threshold


def unknown_score(
    probabilities: NDArray[np.float32],
    familiarity: float | None,
    rule: UnknownRule | None,
    threshold: float | None,
) -> UnknownScore | None:
    """Return the score that `rule` names; `threshold` replaces the rule's own unless it is None."""
    if rule is None:
        return None
    value = float(probabilities.max()) if rule.score == "max_probability" else familiarity
    return UnknownScore(
        rule.score,
        math.nan if value is None else value,
        rule.threshold if threshold is None else threshold,
    )


def decide(
    probabilities: NDArray[np.float32], unknown: UnknownScore | None, manifest: Manifest
) -> Decision | None:
    """Return the decision about one prediction (K,) of the model that `manifest` describes.

    unknown   the photo resembles no training photo: its score is under the out-of-distribution
              threshold, which 95 % of known photos reach. Its labels mean nothing.
    unsure    its score reaches the threshold, but its label has a lower probability than the
              acceptance threshold of the bundle, which is two thirds unless it says otherwise.
    accepted  neither. It may still be wrong, as often as its probability or the bundle's promise
              says.
    None      the bundle has neither rule.

    A photo of a multi-label model is unsure if the probability of any label lies in its band in
    the bundle's `undecided`; otherwise it is accepted, also where no label is.
    """
    if manifest.task == "multi_label":
        if unknown is not None and unknown.is_unknown:
            return "unknown"
        return "unsure" if is_undecided(probabilities, manifest) else "accepted"
    rule = manifest.decision
    if unknown is None and rule is None:
        return None
    if unknown is not None and unknown.is_unknown:
        return "unknown"
    return "accepted" if _is_accepted(probabilities, rule, manifest) else "unsure"


def _is_accepted(
    probabilities: NDArray[np.float32], rule: DecisionRule | None, manifest: Manifest
) -> bool:
    if rule is None or not rule.labels:
        accept_from = SURE_FROM if rule is None else rule.accept_from
        return float(probabilities.max()) >= accept_from
    first = int(probabilities.argmax())
    threshold = rule.threshold_of(manifest.labels[first].name)
    return threshold is not None and float(probabilities[first]) >= threshold


def accepted_rows(
    probabilities: NDArray[np.floating], manifest: Manifest, scores: NDArray[np.floating] | None
) -> NDArray[np.bool_]:
    """Return for many predictions (N, K) which are accepted, (N,); `decide` does so for one.

    Args:
        probabilities: (N, K).
        manifest: of the model.
        scores: (N,) the familiarity; None where the model's `unknown` rule does not use it.
    """
    rows = probabilities.astype(np.float32)
    highest, unknown = rows.max(axis=1, initial=0), manifest.unknown
    accepted = highest >= thresholds_of(rows, manifest)
    if unknown is not None and unknown.score == "max_probability":
        scores = highest
    if unknown is not None and scores is not None:
        accepted &= scores >= unknown.threshold
    return np.asarray(accepted)


def thresholds_of(probabilities: NDArray[np.floating], manifest: Manifest) -> NDArray[np.float64]:
    """Return the acceptance threshold (N,) of each prediction (N, K); infinite: never accepted."""
    rule = manifest.decision or DecisionRule()
    of_label = [rule.threshold_of(label.name) for label in manifest.labels]
    thresholds = np.array([math.inf if each is None else each for each in of_label])
    return np.asarray(thresholds[probabilities.argmax(axis=1)])
