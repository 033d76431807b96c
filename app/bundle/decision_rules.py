"""The thresholds that decide whether a prediction is accepted, unsure or unknown."""

from collections.abc import Mapping
from typing import Literal

from pydantic import PositiveInt

from app.bundle.part import Part, Share

SURE_FROM = 2 / 3
"""The acceptance threshold of a bundle that states none. Between two classes, one is then twice as
likely as the other. If calibrated, predictions at this probability are right two times in three."""


class UnknownRule(Part):
    """The out-of-distribution threshold: a photo with a lower score resembles no training photo.

    Its `decision` is `unknown`. Otherwise `DecisionRule` decides.
    """

    score: Literal["familiarity", "max_probability"]
    threshold: float
    accepts: Share
    """Share of the test photos whose score reaches the threshold."""


class LabelDecision(Part):
    """The acceptance threshold of the predictions of one label."""

    accept_from: Share | None
    """None: no prediction of this label is accepted, as its share of right ones is too low."""
    coverage: Share
    """Share of the label's predictions that are accepted."""
    photos: PositiveInt
    """The number of photos whose prediction is this label."""


class AcceptedFigures(Part):
    """The accepted predictions among photos that chose no threshold."""

    precision: Share | None
    """Share of right ones among the accepted predictions; None: none is accepted."""
    coverage: Share
    """Share of the photos whose prediction is accepted."""
    photos: PositiveInt
    on: str
    """The photos that were measured."""


class DecisionRule(Part):
    """The acceptance threshold, and the promise that it keeps.

    A prediction is accepted if its most probable label reaches the threshold; otherwise its
    `decision` is `unsure`. A bundle without this field accepts from two thirds.
    """

    accept_from: Share = SURE_FROM
    precision: Share | None = None
    """The promise: the share of accepted predictions that are right. None: nothing is promised."""
    confidence: Share | None = None
    """The probability that a threshold chosen in this way keeps the promise."""
    coverage: Share | None = None
    """Share of the photos whose prediction is accepted."""
    photos: PositiveInt | None = None
    """The number of photos that chose the threshold."""
    on: str | None = None
    """The photos that chose the threshold."""
    labels: Mapping[str, LabelDecision] = {}
    """The thresholds of labels that have their own; it replaces `accept_from` for them."""
    tested: AcceptedFigures | None = None
    """The accepted predictions among the test photos."""

    def threshold_of(self, label: str) -> float | None:
        """Return the acceptance threshold of a label's predictions; None: none is accepted."""
        own = self.labels.get(label)
        return self.accept_from if own is None else own.accept_from
