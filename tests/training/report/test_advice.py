"""What to do first follows from the data, and states the numbers that it follows from."""

import numpy as np
import pytest

from app.bundle import Label, Metrics, UnknownRule
from training.data.findings import Finding, Findings
from training.report import Content, advice, interval


@pytest.fixture
def content(make_bundle):
    """Return a function that makes a content from counts (K, K): rows are classes."""
    bundle = make_bundle()

    def make(counts, labels=("cat", "dog", "fox"), sure=0.8, **more):
        counts = np.asarray(counts)
        truth, predicted = [], []
        for cell in np.ndindex(*counts.shape):
            truth += [cell[0]] * int(counts[cell])
            predicted += [cell[1]] * int(counts[cell])
        classes, photos = len(counts), len(truth)
        probabilities = np.full((photos, classes), (1 - sure) / (classes - 1))
        probabilities[np.arange(photos), predicted] = sure
        top1 = float((np.array(truth) == predicted).mean())
        fields = {
            "manifest": bundle.manifest.model_copy(
                update={"labels": tuple(Label(name=label) for label in labels[:classes])}
            ),
            "measured_on": "pets, its test split",
            "figures": {"fp32": Metrics(top1=top1, top5=1, ece=0.1, images=photos, on="pets")},
            "truth": np.array(truth),
            "probabilities": {"fp32": probabilities},
            "names": [f"{index}.jpg" for index in range(photos)],
            "thumbnails": lambda index: np.zeros((64, 64, 3), np.uint8),
        }
        return Content(**{**fields, **more})

    return make


def _findings(*found):
    return Findings(9, {"cat": 9}, {"JPEG": 9}, found)


def _titles(content):
    return [step.title for step in advice.steps(content)]


def test_nothing_is_advised_where_nothing_stands_out(content):
    assert advice.steps(content(np.diag([500, 500, 500]))) == []


def test_photos_under_two_labels_come_first(content):
    groups = (("cat/1.jpg", "dog/7.jpg"),)
    found = Finding("two labels", "The same photo", ("cat/1.jpg = dog/7.jpg",), groups)
    (step,) = advice.steps(content(np.diag([500, 500, 500]), findings=_findings(found)))
    assert step.title == "Decide on one label"
    assert "1 photo lies in the folders of two classes" in step.reason
    assert step.groups == groups


@pytest.mark.parametrize(
    ("kind", "title", "words"),
    [
        ("leak", "Take photos of test out of train", "2 photos are in two parts"),
        ("unusable", "Repair or remove files", "2 files can't be read"),
        ("near, two labels", "Decide on one label", "2 photos lie in the folders"),
    ],
)
def test_a_finding_that_spoils_training_becomes_a_step(content, kind, title, words):
    found = _findings(Finding(kind, "What it is", ("a.jpg", "b.jpg")))
    (step,) = advice.steps(content(np.diag([500, 500, 500]), findings=found))
    assert step.title == title
    assert words in step.reason
    assert step.names == ("a.jpg", "b.jpg")


@pytest.mark.parametrize("kind", ["near duplicates", "odd name", "nested", "first frame", "tiny"])
def test_a_harmless_finding_is_no_step(content, kind):
    found = _findings(Finding(kind, "What it is", ("a.jpg",)))
    assert advice.steps(content(np.diag([500, 500, 500]), findings=found)) == []


def test_mistakes_that_the_model_is_sure_of_are_to_be_relabelled(content):
    (step,) = advice.steps(content([[499, 1, 0], [0, 500, 0], [0, 0, 500]], sure=0.95))
    assert step.title == "Relabel these, if they are wrong"
    assert "for 1 of 1,500 measured photos" in step.reason
    assert [(one.truth, one.predicted) for one in step.pictures] == [("cat", "dog")]


def test_two_classes_that_are_confused_are_named_with_their_numbers(content):
    steps = advice.steps(content([[470, 0, 30], [0, 500, 0], [40, 0, 460]]))
    (step,) = [step for step in steps if step.title == "Tell cat and fox apart"]
    assert "70 of the 1,000 measured photos" in step.reason
    assert interval.said(70, 1000) in step.reason


def test_a_class_that_is_surely_weaker_gets_more_photos(content):
    sizes = {"train": np.array([300, 200, 250]), "test": np.array([100, 100, 100])}
    steps = advice.steps(content([[98, 1, 1], [20, 70, 10], [1, 1, 98]], sizes=sizes))
    (step,) = [step for step in steps if step.title == "Add photos of dog"]
    assert "70 of its 100 measured photos" in step.reason
    assert "It had 200 photos of training" in step.reason


def test_a_class_that_may_be_as_good_as_the_others_is_not_called_weak(content):
    assert "Add photos of dog" not in _titles(content([[98, 2, 0], [1, 4, 0], [1, 1, 98]]))


@pytest.mark.parametrize(
    ("train", "named"),
    [
        ([500, 20, 480], "dog (20)"),
        ([500, 170, 480], None),
        ([12, 500, 14], "cat (12)"),
        ([40, 40, 40], None),
    ],
)
def test_classes_with_few_photos_are_named(content, train, named):
    steps = advice.steps(content(np.diag([500, 500, 500]), sizes={"train": np.array(train)}))
    small = [step.reason for step in steps if step.title == "Add photos of the small classes"]
    assert bool(small) == bool(named)
    assert named is None or f"Photos of training: {named}" in small[0]


def test_many_unknown_photos_are_named(content):
    base = content(np.diag([500, 500, 500]))
    rule = UnknownRule(score="familiarity", threshold=0.5, accepts=0.95)
    unlike = content(
        np.diag([500, 500, 500]),
        manifest=base.manifest.model_copy(update={"unknown": rule}),
        scores=np.repeat([0.3, 0.8], [300, 1200]),
    )
    (step,) = advice.steps(unlike)
    assert "300 of 1,500 measured photos" in step.reason


def test_few_measured_photos_are_named_with_their_interval(content):
    (step,) = advice.steps(content(np.diag([1, 1, 0])))
    assert step.title == "Measure on more photos"
    assert "2 of 2 are right" in step.reason
    assert "between 16 and 100" in step.reason


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(2, 2, 0.158, 1), (0, 2, 0, 0.842), (3, 5, 0.147, 0.947), (209, 210, 0.974, 1.0)],
)
def test_the_interval_is_that_of_clopper_and_pearson(part, whole, low, high):
    assert interval.of(part, whole) == pytest.approx((low, high), abs=1e-3)


def test_at_most_six_steps_are_shown(content):
    kinds = ("leak", "two labels", "near, two labels", "unusable")
    found = _findings(*(Finding(kind, "What it is", ("a.jpg",)) for kind in kinds))
    rough = content([[5, 4, 0], [3, 5, 0], [0, 1, 2]], sure=0.95, findings=found)
    assert len(advice.steps(rough)) == advice.MOST
