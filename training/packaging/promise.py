"""Choose the acceptance threshold of a bundle, and measure what it accepts.

    held-out predictions of each graph -> without unknown photos, one photo of near duplicates
                                       -> a threshold for the model, or for each label  acceptance
                                       -> the field `decision` of bundle.json

The promise holds for each graph of the bundle, since either may serve.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.bundle import (
    AcceptedFigures,
    DecisionRule,
    Label,
    LabelDecision,
    Manifest,
    Precision,
    UnknownRule,
)
from app.runtime.decision import accepted_rows
from training import acceptance
from training.acceptance import CONFIDENCE, Outcomes
from training.errors import PromiseUnattainable

Floats = NDArray[np.floating]
Integers = NDArray[np.intp]

_ENOUGH = 3
"""With --accept-per-class a label has its own threshold from this multiple of the photos that the
promise needs at least, so that a few mistakes among them don't rule it out."""
_LEAST_PRECISION = 0.5
"""The lowest precision that --accept-precision takes."""
_NAMED = 6
"""The most classes that the line names."""
_PLENTY = 20
"""The same by default: with fewer photos, thresholds by class would cost most of the coverage."""


@dataclass(frozen=True)
class Promise:
    """The promise that the user asks for."""

    precision: float
    """The share of accepted predictions that must be right."""
    per_class: bool | None = None
    """Whether it must hold for each class alone, where there are photos enough; None: where there
    are plenty."""

    @property
    def multiple(self) -> float:
        """The multiple of the photos needed at least from which a class has its own threshold."""
        if self.per_class is None:
            return _PLENTY
        return _ENOUGH if self.per_class else math.inf


@dataclass(frozen=True, eq=False)
class HeldOut:
    """N photos with a label that the model did not learn from, and its predictions for them."""

    truth: Integers
    """(N,) class indices."""
    groups: Integers
    """(N,) a number for each photo, the same for photos that show the same picture."""
    probabilities: Mapping[Precision, Floats]
    """(N, K) by graph; fp32 first."""
    familiarity: Floats | None
    """(N,); None where the `unknown` rule does not use it."""
    on: str
    """A description of the photos."""

    def known(self, unknown: UnknownRule | None, precision: Precision) -> NDArray[np.bool_]:
        """Return which photos (N,) are not `unknown`."""
        scores = self.familiarity
        if unknown is not None and unknown.score == "max_probability":
            scores = self.probabilities[precision].astype(np.float32).max(axis=1)
        if unknown is None or scores is None:
            return np.ones(len(self.truth), bool)
        return np.asarray(scores >= unknown.threshold)

    def different(self) -> Integers:
        """Return the indices of one photo of each group: copies would count a mistake twice."""
        return np.unique(self.groups, return_index=True)[1]


def require_possible(promise: Promise, photos: int) -> None:
    """Reject a promise that could not be kept by this many photos if all were right.

    Args:
        promise: the precision that is asked for.
        photos: the number of independent ones: those of one group count as one.

    Raises:
        PromiseUnattainable: there are too few photos.
    """
    needed = acceptance.photos_needed(promise.precision)
    if photos < needed:
        best = (1 - CONFIDENCE) ** (1 / max(1, photos))
        advice = (
            "Add photos."
            if best < _LEAST_PRECISION
            else f"Add photos, or lower --accept-precision; at most {_down(best)} is possible with "
            "these."
        )
        raise PromiseUnattainable(
            f"A precision of {promise.precision:g} can't be promised with {photos} photos, of "
            "which those that look the same or are in one group count as one: "
            f"{needed} are needed at least, at {100 * CONFIDENCE:.0f} % confidence. {advice}"
        )


def decision_rule(
    held_out: HeldOut, promise: Promise, unknown: UnknownRule | None, labels: Sequence[str]
) -> DecisionRule:
    """Return the thresholds that keep the promise.

    Raises:
        PromiseUnattainable: no threshold keeps it; the message has the best that can be promised.
    """
    different = held_out.different()
    known = min(int(held_out.known(unknown, p)[different].sum()) for p in held_out.probabilities)
    require_possible(promise, known)
    graphs = [
        _Graph(
            Outcomes.of(rows[different], held_out.truth[different]),
            rows[different].argmax(axis=1),
            held_out.known(unknown, which)[different],
        )
        for which, rows in held_out.probabilities.items()
    ]
    own = _own_labels(graphs[0], promise, len(labels))
    rest = np.setdiff1d(np.arange(len(labels)), own)
    level = (1 - CONFIDENCE) / (len(own) + (len(rest) > 0))
    shared = acceptance.choose([each.of(rest) for each in graphs], promise.precision, level)
    by_label = {
        labels[label]: _label_decision([each.of([label]) for each in graphs], promise, level)
        for label in own
    }
    if shared is None and all(each.accept_from is None for each in by_label.values()):
        raise _unattainable([each.of(rest) for each in graphs] if not own else None, promise)
    if shared is None and len(rest):  # none of these is accepted
        by_label |= {labels[label]: _never(graphs[0], label) for label in rest.tolist()}
    rule = DecisionRule(
        accept_from=1.0 if shared is None else shared,
        precision=promise.precision,
        confidence=CONFIDENCE,
        photos=len(different),
        on=held_out.on,
        labels=by_label,
    )
    return rule.model_copy(update={"coverage": _coverage(graphs[0], rule, labels)})


@dataclass(frozen=True, eq=False)
class _Graph:
    """The predictions of one graph for the photos that choose the thresholds."""

    outcomes: Outcomes
    predicted: Integers
    known: NDArray[np.bool_]

    def of(self, labels: Sequence[int] | Integers) -> Outcomes:
        """Return the outcomes of the known photos that are given one of these labels."""
        return self.outcomes.of_photos(self.known & np.isin(self.predicted, labels))


def _own_labels(graph: _Graph, promise: Promise, count: int) -> list[int]:
    """Return the labels with photos enough for a threshold of their own."""
    predicted = np.bincount(graph.predicted[graph.known], minlength=count)
    level = (1 - CONFIDENCE) / (int((predicted > 0).sum()) + 1)
    enough = promise.multiple * acceptance.photos_needed(promise.precision, level)
    return np.flatnonzero(predicted >= enough).tolist()


def _label_decision(outcomes: Sequence[Outcomes], promise: Promise, level: float) -> LabelDecision:
    threshold = acceptance.choose(outcomes, promise.precision, level)
    photos = len(outcomes[0].scores)
    accepted = 0 if threshold is None else outcomes[0].accepted(threshold)[0]
    return LabelDecision(accept_from=threshold, coverage=accepted / photos, photos=photos)


def _never(graph: _Graph, label: int) -> LabelDecision:
    photos = len(graph.of([label]).scores)
    return LabelDecision(accept_from=None, coverage=0, photos=photos)


def _coverage(graph: _Graph, rule: DecisionRule, labels: Sequence[str]) -> float:
    of_label = [rule.threshold_of(label) for label in labels]
    thresholds = np.array([math.inf if each is None else each for each in of_label])
    accepted = graph.known & (graph.outcomes.scores >= thresholds[graph.predicted])
    return float(accepted.mean())


def _unattainable(outcomes: Sequence[Outcomes] | None, promise: Promise) -> PromiseUnattainable:
    best = None if outcomes is None else acceptance.best_promise(outcomes, promise.precision)
    possible = (
        "Lower --accept-precision, or add --no-accept-per-class."
        if outcomes is None
        else "No precision above one half can be promised."
        if best is None
        else f"At most {best:g} can be promised. Lower --accept-precision, or add photos."
    )
    return PromiseUnattainable(
        f"A precision of {promise.precision:g} can't be promised by these photos at "
        f"{100 * CONFIDENCE:.0f} % confidence: the model is too often wrong where it is surest. "
        f"{possible}"
    )


def _down(share: float) -> str:
    return f"{math.floor(1000 * share) / 1000:g}"


def measure(
    decision: DecisionRule,
    unknown: UnknownRule | None,
    labels: Sequence[str],
    probabilities: Floats,
    familiarity: Floats | None,
    truth: Integers,
    on: str,
) -> AcceptedFigures:
    """Return the share of the photos that is accepted, and the share of these that is right.

    Args:
        decision: has the thresholds.
        unknown: the rule for photos that are not accepted whatever their probability.
        labels: (K,).
        probabilities: (N, K) of photos that chose no threshold.
        familiarity: (N,); None where `unknown` does not use it.
        truth: (N,) class indices.
        on: a description of the photos.
    """
    manifest = Manifest.model_construct(
        labels=tuple(Label(name=label) for label in labels), unknown=unknown, decision=decision
    )
    accepted = accepted_rows(probabilities, manifest, familiarity)
    right = probabilities.argmax(axis=1) == truth
    return AcceptedFigures(
        precision=float(right[accepted].mean()) if accepted.any() else None,
        coverage=float(accepted.mean()),
        photos=len(truth),
        on=on,
    )


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels) if len(labels) <= _NAMED else f"{len(labels)} classes"


def summary(decision: DecisionRule) -> str:
    """Return a line about the promise, and what the test photos give."""
    assert decision.precision is not None
    assert decision.coverage is not None
    threshold = f"{decision.accept_from:.4f}" if decision.accept_from else "any probability"
    if decision.labels:
        own = _listed(list(decision.labels))
        have_all = decision.accept_from == 1  # no class is left for the shared threshold
        threshold = (
            f"the own thresholds of {own}" if have_all else f"{threshold}, {own} from others"
        )
    line = (
        f"promised: {100 * decision.precision:g} % of the accepted predictions are right "
        f"({100 * CONFIDENCE:.0f} % confidence); accepted from {threshold}: "
        f"{100 * decision.coverage:.1f} % of {decision.photos} photos"
    )
    if (tested := decision.tested) is None or tested.precision is None:
        return line
    return (
        f"{line}; of {tested.photos} test photos {100 * tested.coverage:.1f} % are accepted, and "
        f"{100 * tested.precision:.2f} % of these are right"
    )
