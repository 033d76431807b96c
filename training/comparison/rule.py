"""The rule by which a new version counts as better, not worse or worse than the serving one.

    Figures -> is it significantly worse, in all, at a label, or in its probabilities? -> worse
            -> can a loss of more than the margin be excluded?  no  -> not_comparable
                                                                yes -> not_worse
                                                                and it gains -> better

docs/decisions/promotion.md has the figures by which the margin was chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.jobs.comparison import Verdict
from training.comparison import paired
from training.comparison.figures import Figures, OfLabel

MARGIN = 0.05
"""The loss of accuracy, or of F1, that counts as not worse."""
ALPHA = 0.05
BRIER_TOLERANCE = 0.01
"""A smaller rise of the Brier score doesn't count."""

_SHOWN = 3


@dataclass(frozen=True)
class Judgement:
    """The verdict, why, and which labels are lost."""

    verdict: Verdict
    reason: str
    lost: tuple[bool, ...]


def sentence(margin: float = MARGIN) -> str:
    """Return the rule in a sentence."""
    return (
        "A new version is not worse if, with 90 % confidence, it is right about at most "
        f"{100 * margin:g} of 100 photos fewer (Tango's score interval for paired shares; F1 by a "
        "paired bootstrap for several labels), no label is lost (McNemar's exact test with Holm's "
        "correction) and its probabilities aren't worse (Brier score, paired bootstrap); it is "
        "better if McNemar's mid-p test says so, too."
    )


def judge(
    figures: Figures, labels: Sequence[str], versions: tuple[int, int], margin: float = MARGIN
) -> Judgement:
    """Return the verdict about a new version.

    Args:
        figures: of both versions.
        labels: the names of the labels in `figures`.
        versions: the numbers of the serving and the new version.
        margin: the loss that counts as not worse.
    """
    lost = tuple(
        paired.holm(
            [paired.mcnemar_exact_loss(each.losses, each.gains) for each in figures.labels], ALPHA
        )
    )
    measured = _measured(figures, versions)
    if figures.p_value < ALPHA and figures.difference < 0:
        return Judgement("worse", f"{measured}; that is worse by more than chance.", lost)
    if any(lost):
        return Judgement("worse", _about_lost(figures.labels, labels, lost, versions), lost)
    if figures.brier_rise > BRIER_TOLERANCE:
        before, after = figures.brier
        return Judgement(
            "worse",
            f"{measured}, and the probabilities of the new version are worse: the Brier score "
            f"rose from {before:.3f} to {after:.3f}.",
            lost,
        )
    verdict, end = _if_not_worse(figures, margin)
    return Judgement(verdict, f"{measured}{end}", lost)


def _if_not_worse(figures: Figures, margin: float) -> tuple[Verdict, str]:
    """Return the verdict where nothing is significantly worse, and the end of the reason."""
    needed = paired.photos_needed(margin)
    if figures.photos < needed:
        return "not_comparable", (
            f", but so few photos can't show whether it is worse; {needed} or more could."
        )
    if figures.interval[0] < -margin:
        return "not_comparable", (
            f", but of other photos it may be right about {-100 * figures.interval[0]:.0f} in 100 "
            "fewer; more photos would tell."
        )
    if figures.p_value < ALPHA and figures.difference > 0:
        return "better", "; that is better by more than chance."
    return "not_worse", f"; a loss of {100 * margin:g} points or more is excluded."


def _measured(figures: Figures, versions: tuple[int, int]) -> str:
    serving, new = (f"{100 * share:.1f} %" for share in figures.accuracy)
    return (
        f"Version {versions[1]} is right about {new} of {figures.photos} photos that are new to "
        f"it, version {versions[0]} about {serving}"
    )


def _about_lost(
    figures: Sequence[OfLabel],
    labels: Sequence[str],
    lost: Sequence[bool],
    versions: tuple[int, int],
) -> str:
    named = [
        f"{label} ({each.candidate} of {each.photos} photos right, before {each.serving})"
        for label, each, is_lost in zip(labels, figures, lost, strict=True)
        if is_lost
    ]
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return (
        f"Version {versions[1]} is worse than version {versions[0]} at "
        f"{', '.join(named[:_SHOWN])}{more}, by more than chance."
    )
