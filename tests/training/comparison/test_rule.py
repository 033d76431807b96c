"""The verdicts of the rule."""

import numpy as np
import pytest

from training.comparison.figures import Sides, of_classes, of_labels
from training.comparison.rule import judge, sentence

LABELS = ("cat", "dog")


def sides(right, surely=0.9, photos_of=None):
    """Return both versions by the photos that each gets right, of two classes in turn."""
    count = len(right[0])
    truth = np.eye(2, dtype=bool)[np.arange(count) % 2 if photos_of is None else photos_of]
    both = []
    for each, probability in zip(right, (0.9, surely), strict=True):
        label = np.where(each, truth.argmax(axis=1), 1 - truth.argmax(axis=1))
        both.append(np.where(np.eye(2)[label] == 1, probability, 1 - probability))
    accepted = [rows > 0.5 for rows in both]
    return Sides(truth, both[0], both[1], accepted[0], accepted[1])


def right(count, wrong=()):
    mask = np.ones(count, bool)
    mask[list(wrong)] = False
    return mask


def verdict(*pair, **options):
    return judge(of_classes(sides(pair, **options), 0), LABELS, (1, 2))


@pytest.mark.parametrize(
    ("serving", "candidate", "expected"),
    [
        (right(200, range(30)), right(200, range(10)), "better"),
        (right(200, range(10)), right(200, range(5, 15)), "not_worse"),
        (right(200, range(10)), right(200, range(30)), "worse"),
        (right(60), right(60), "not_worse"),
        (right(30), right(30), "not_comparable"),
        (right(60, range(4)), right(60, range(4, 9)), "not_comparable"),
    ],
    ids=["better", "equal", "worse", "enough photos", "few photos", "too few to tell"],
)
def test_a_verdict_follows_from_the_photos(serving, candidate, expected):
    judged = verdict(serving, candidate)
    assert judged.verdict == expected
    assert judged.reason.startswith("Version 2 is right about ")
    assert judged.reason.endswith(".")


def test_few_photos_are_said_to_be_few():
    assert "so few photos can't show" in verdict(right(9), right(9)).reason
    assert "32 or more could" in verdict(right(9), right(9)).reason


def test_a_label_that_is_lost_is_named_even_where_another_gains():
    of = np.repeat([0, 1], 60)
    serving, candidate = right(120, range(60, 72)), right(120, range(12))
    judged = verdict(serving, candidate, photos_of=of)
    assert (judged.verdict, judged.lost) == ("worse", (True, False))
    assert "worse than version 1 at cat (48 of 60 photos right, before 60)" in judged.reason


def test_worse_probabilities_are_worse():
    both = right(200, range(10))
    assert verdict(both, both, surely=0.55).verdict == "worse"
    assert "the Brier score rose" in verdict(both, both, surely=0.55).reason


def test_several_labels_are_judged_by_f1():
    rng = np.random.default_rng(0)
    truth = rng.random((200, 2)) < 0.4
    flipped = truth ^ (rng.random(truth.shape) < 0.25)

    def judged(serving, candidate):
        both = [np.where(each, 0.9, 0.1) for each in (serving, candidate)]
        found = of_labels(Sides(truth, both[0], both[1], serving, candidate), 0)
        return judge(found, LABELS, (1, 2)).verdict

    assert judged(flipped, truth) == "better"
    assert judged(truth, flipped) == "worse"
    assert judged(flipped, flipped) == "not_worse"
    few = slice(0, 20)
    found = of_labels(
        Sides(*(each[few] for each in (truth, truth * 0.9, truth * 0.9, truth, truth))), 0
    )
    assert judge(found, LABELS, (1, 2)).verdict == "not_comparable"


def test_the_sentence_states_the_margin():
    assert "at most 5 of 100 photos fewer" in sentence()
    assert "at most 2.5 of 100" in sentence(0.025)
