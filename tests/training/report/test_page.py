"""report/index.html is complete, has no active content, and stays small."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from app.bundle import Calibration, DecisionRule, Label, LabelDecision, Metrics, UnknownRule
from app.runtime.evaluation import accuracy
from app.runtime.evaluation.calibration_error import calibration_error
from training import report
from training.data.findings import Finding, Findings
from training.report import (
    Content,
    Curve,
    HeldOutPhotos,
    Line,
    SuspectPhoto,
    Suspects,
    plots,
)
from training.report import accepted as accepted_predictions

HOSTILE = "<script>alert('κακό')</script> & \"friends\""


def _content(bundle, labels, photos=60, **more):
    """Return a content of random photos with a model that is right two times in three."""
    rng = np.random.default_rng(0)
    count = len(labels)
    truth = np.arange(photos) % count
    logits = rng.normal(size=(photos, count)) + 4 * np.eye(count)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    figures = Metrics(
        top1=accuracy.top_k_accuracy(probabilities, truth, 1),
        top5=accuracy.top_k_accuracy(probabilities, truth, min(5, count)),
        ece=calibration_error(probabilities, truth),
        images=photos,
        on="pets, its test split",
    )
    manifest = bundle.manifest.model_copy(
        update={
            "labels": tuple(Label(name=label) for label in labels),
            "unknown": UnknownRule(score="familiarity", threshold=0.5, accepts=0.95),
            "calibration": Calibration(
                temperature=1.5, ece_before=0.11, ece_after=0.02, images=photos, on="test"
            ),
        }
    )
    noise = rng.integers(0, 256, (photos, 96, 96, 3), np.uint8)
    fields = {
        "manifest": manifest,
        "measured_on": "pets, its test split",
        "figures": {"fp32": figures},
        "truth": truth,
        "probabilities": {"fp32": probabilities},
        "names": [f"{labels[label]}/{index}.jpg" for index, label in enumerate(truth)],
        "thumbnails": noise.__getitem__,
    }
    return Content(**{**fields, **more})


@pytest.fixture
def content(make_bundle):
    """Return a function that makes a content with these labels; keywords are its fields."""
    bundle = make_bundle()
    return lambda labels=("cat", "dog"), **more: _content(bundle, labels, **more)


@pytest.fixture
def full(content):
    """Return a content with every section, for two classes."""
    photos = {"cat": 700, "dog": 699}
    found = Findings(
        1399, photos, {"JPEG": 1399}, (Finding("tiny", "Tiny photos", ("dog/1.jpg",)),)
    )
    lines = (Line("train", [0.9, 0.5, 0.3]), Line("validation", [0.8, 0.6, 0.5]))
    return content(
        uncalibrated=np.tile([0.7, 0.3], (60, 1)),  # right on half of them
        sizes={"train": np.array([490, 489]), "test": np.array([210, 210])},
        findings=found,
        curves=(Curve("Loss by epoch", "epoch", "loss", lines),),
        int8="int8 on 1299 photos: drop 0.31 points.",
        scores=np.linspace(0.2, 0.9, 60),
        held_out=HeldOutPhotos(
            on="pets, train and val out of fold",
            names=[f"{index}.jpg" for index in range(40)],
            truth=np.arange(40) % 2,
            probabilities=np.stack([np.linspace(0.1, 0.9, 40), np.linspace(0.9, 0.1, 40)], axis=1),
            familiarity=np.linspace(0.3, 1, 40),
            thumbnails=np.zeros((40, 8, 8, 3), np.uint8).__getitem__,
        ),
    )


class _Page(HTMLParser):
    """Collects the tags that stay open, the attributes and the visible text."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def _read(text):
    page = _Page()
    page.feed(text)
    assert page.open == []
    page.shown = " ".join(" ".join(page.text).split())
    return page


def _written(content, folder):
    return report.write(content, folder / "report").read_text(encoding="utf-8")


def test_every_section_stands_in_the_page(full, tmp_path):
    page = _read(_written(full, tmp_path))
    sections = [
        "first",
        "data",
        "learning",
        "figures",
        "classes",
        "confusion",
        "calibration",
        "unknown",
        "accepted",
    ]
    sections += ["mistakes", "examples", "origin"]
    ids = [value for name, value in page.attributes if name == "id"]
    assert [id for id in ids if id in sections] == sections
    for text in (
        "Tiny photos 1 dog/1.jpg",
        "train 979 70.0 %",
        "Loss by epoch",
        "validation",
        "int8 on 1299 photos: drop 0.31 points.",
        "temperature of 1.500",
        "error is 0.200 without the temperature",
        "familiarity is under 0.500",
        "top-1, fp32",
    ):
        assert text in page.shown
    assert len(set(ids)) == len(ids)


def test_figures_are_those_of_the_photos(content, tmp_path):
    truth = np.array([0, 0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8], [0.96, 0.04]])
    small = content(
        truth=truth,
        probabilities={"fp32": probabilities},
        names=[f"{index}.jpg" for index in range(5)],
        figures={"fp32": Metrics(top1=0.6, top5=1, ece=0.1, images=5, on="five")},
    )
    shown = _read(_written(small, tmp_path)).shown
    assert "3 of 5 photos are classified correctly: 60.0 %" in shown
    assert "the accuracy lies between 15 and 95 % (95 % confidence)" in shown
    assert "cat 3 66.7 % 95 %: 9 to 99 % 66.7 % dog (1)" in shown
    assert "dog 2 50.0 % 95 %: 1 to 99 % 50.0 % cat (1)" in shown
    assert "cat dog cat 2 1 dog 1 1" in shown  # the matrix
    mistakes = shown[
        shown.index("Most confident mistakes") : shown.index("Examples Photos of each")
    ]
    assert re.findall(r"(\d)\.jpg", mistakes) == ["4", "2"]  # the surest first
    assert "cat 96.0 % is dog 4.0 %" in mistakes


def test_the_promise_stands_beside_what_the_photos_give(full, tmp_path):
    rule = DecisionRule(
        accept_from=0.75,
        precision=0.9,
        confidence=0.95,
        coverage=0.5,
        photos=40,
        on="pets, train and val out of fold",
        labels={"dog": LabelDecision(accept_from=None, coverage=0, photos=20)},
    )
    content = replace(full, manifest=full.manifest.model_copy(update={"decision": rule}))
    text = _read(_written(content, tmp_path)).shown
    probabilities = content.probabilities["fp32"]
    known = content.scores >= 0.5
    accepted = known & (probabilities[:, 0] >= 0.75)
    right = int((accepted & (content.truth == 0)).sum())
    assert "at least 90.0 % are right" in text
    assert f"{right} of {accepted.sum()} accepted predictions are right" in text
    assert "pets, train and val out of fold 40" in text
    assert "dog never" in text
    counts = accepted_predictions.by_class(content)
    assert [(row.label, row.accepted) for row in counts] == [("cat", accepted.sum()), ("dog", 0)]


def test_a_number_of_the_confusion_matrix_opens_its_photos(content, tmp_path):
    truth = np.array([0, 0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8], [0.96, 0.04]])
    names = [f"{index}.jpg" for index in range(5)]
    page = _read(
        _written(content(truth=truth, probabilities={"fp32": probabilities}, names=names), tmp_path)
    )
    targets = {value for name, value in page.attributes if name == "id"}
    links = [value for name, value in page.attributes if name == "href"]
    cells = {f"cell-{row}-{column}" for row in range(2) for column in range(2)}
    assert cells <= targets
    assert {f"#{cell}" for cell in cells} <= set(links)
    shown = page.shown
    taken = shown[shown.index("cat, taken for dog") : shown.index("dog, taken for cat")]
    assert re.findall(r"(\d)\.jpg", taken) == ["2"]
    recognised = shown[shown.index("cat, recognised") : shown.index("cat, taken for dog")]
    assert re.findall(r"(\d)\.jpg", recognised) == ["1", "0"]  # the least confident first


def test_suspects_are_shown_with_both_labels(full, tmp_path):
    photos = [SuspectPhoto("cat/7.jpg", "cat", "dog", 0.02, 0.98, True, 7)]
    found = Suspects(photos, 1399, np.zeros((8, 8, 8, 3), np.uint8).__getitem__)
    page = _read(_written(replace(full, suspects=found), tmp_path))
    assert "1 of 1,399 photos" in page.shown
    assert "cat 2.0 % rather dog 98.0 % cat/7.jpg" in page.shown
    assert ("href", "suspects.csv") in page.attributes


def test_absent_fields_have_no_section(content, tmp_path):
    page = _read(_written(content(), tmp_path))
    ids = {value for name, value in page.attributes if name == "id"}
    assert not ids & {"data", "learning", "unknown"}
    assert "Without the temperature" not in page.shown


def test_a_model_without_a_mistake_says_so(content, tmp_path):
    right = np.eye(2)[np.arange(60) % 2]
    assert "every measured photo got its label" in _written(
        content(
            probabilities={"fp32": right},
            figures={"fp32": Metrics(top1=1, top5=1, ece=0, images=60, on="pets")},
        ),
        tmp_path,
    )


def test_rows_and_columns_that_say_nothing_are_left_out(content, tmp_path):
    right = np.eye(2)[np.arange(60) % 2]
    figures = {"fp32": Metrics(top1=1, top5=1, ece=0, images=60, on="pets")}
    sizes = {"train": np.array([70, 70]), "val": np.array([0, 0]), "test": np.array([30, 30])}
    shown = _read(
        _written(content(probabilities={"fp32": right}, figures=figures, sizes=sizes), tmp_path)
    ).shown
    assert "No measured photo was taken for another class." in shown
    assert "most often taken for" not in shown
    assert "val 0" not in shown
    assert "None" not in shown
    assert "git commit" not in shown


def test_copies_and_conflicts_are_shown_as_thumbnails(content, tmp_path):
    groups = (("cat/1.jpg", "dog/1.jpg"), ("cat/2.jpg", "dog/gone.jpg"))
    names = tuple(" = ".join(group) for group in groups)
    found = Findings(
        4,
        {"cat": 2, "dog": 2},
        {"JPEG": 4},
        (Finding("two labels", "The same photo under two labels", names, groups),),
    )

    def data_photo(name):
        return None if "gone" in name else np.full((96, 96, 3), 90, np.uint8)

    text = _written(content(findings=found, data_photo=data_photo), tmp_path)
    section = text[text.index('<section id="data">') : text.index('<section id="figures">')]
    assert section.count("<img") == 3
    for name in ("cat/1.jpg", "dog/1.jpg", "cat/2.jpg", "dog/gone.jpg"):
        assert name in section


def test_many_copies_are_capped_and_all_are_named(content, tmp_path):
    groups = tuple((f"cat/{index}.jpg", f"cat/{index} (1).jpg") for index in range(40))
    names = tuple(" = ".join(group) for group in groups)
    found = Findings(
        80, {"cat": 40}, {"JPEG": 80}, (Finding("copies", "Copies of one file", names, groups),)
    )
    text = _written(
        content(findings=found, data_photo=lambda name: np.zeros((96, 96, 3), np.uint8)), tmp_path
    )
    section = text[text.index('<section id="data">') : text.index('<section id="figures">')]
    assert section.count("<img") == 24
    assert "The first 12 are shown; all by name" in section
    assert all(name in section for name in names)


def test_the_page_has_no_script_and_fetches_nothing(full, tmp_path):
    page = _read(_written(full, tmp_path))
    assert "script" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("data:image/", "#"))
    assert not re.search(r"url\((?!#|\"data:font/woff2;base64,)", _written(full, tmp_path))


def test_names_from_the_data_are_escaped(content, tmp_path):
    labels = (HOSTILE, "dog")
    found = Findings(
        2, dict.fromkeys(labels, 1), {"JPEG": 2}, (Finding("odd name", "Odd", labels),)
    )
    broken = "caf\udce9.jpg"
    small = content(labels, findings=found, unusable=[HOSTILE, broken])
    text = _written(small, tmp_path)
    page = _read(text)
    assert "script" not in page.tags
    assert HOSTILE in page.shown
    assert "caf\\udce9.jpg" in page.shown


def test_a_thousand_classes_are_capped_with_a_note(content, tmp_path):
    labels = tuple(f"class number {index}" for index in range(1000))
    found = Findings(
        5000, dict.fromkeys(labels, 5), {"JPEG": 5000}, (Finding("tiny", "Tiny", labels * 5),)
    )
    small = content(labels, photos=3000, findings=found, scores=np.linspace(0, 1, 3000))
    text = _written(small, tmp_path)
    assert len(text) < 3_000_000
    shown = _read(text).shown
    assert "The 100 of 1,000 classes with the lowest recall are shown" in shown
    assert "40 of 1,000 classes are shown" in shown
    assert "The first 2,000 are shown" in shown
    assert re.search(r"The 24 of \d+ with the highest probability", shown)


def test_a_cell_of_the_heat_map_is_as_opaque_as_its_share(content, tmp_path):
    labels = tuple(f"class {index}" for index in range(20))
    probabilities = np.eye(20)[np.arange(60) % 20]
    probabilities[0] = np.eye(20)[7]  # one of class 0's three photos
    text = _written(content(labels, probabilities={"fp32": probabilities}), tmp_path)
    data = base64.b64decode(re.search(r"data:image/png;base64,([^\"]+)", text)[1])
    opaque = np.asarray(Image.open(io.BytesIO(data)))[..., 3] / 255
    assert opaque.shape == (20, 20)
    assert opaque[0, 7] == pytest.approx((1 / 3) ** 0.5, abs=0.01)
    assert opaque[0, 0] == pytest.approx((2 / 3) ** 0.5, abs=0.01)
    assert opaque.sum() == pytest.approx(19 + opaque[0, 0] + opaque[0, 7])


def test_the_same_content_gives_the_same_bytes(full, tmp_path):
    assert _written(full, tmp_path) == _written(full, tmp_path)


def test_plots_take_their_colours_from_the_page(full, tmp_path):
    text = _written(full, tmp_path)
    assert "var(--accent)" in text
    assert not set(re.findall(r"#0102[0-9a-f]{2}", text))
    drawn = "".join(re.findall(r"<svg.*?</svg>", text, re.S))
    assert not re.search(r"#[0-9a-f]{6}\b(?!\))", re.sub(r"url\(#\w+\)|href=\"#\w+\"", "", drawn))


def test_reliability_bins_are_those_of_the_calibration_error():
    sure = np.array([0.61, 0.63, 0.65, 0.97])
    probabilities, truth = np.stack([sure, 1 - sure], axis=1), np.array([0, 1, 1, 0])
    bins = plots.reliability_bins(probabilities, truth)
    assert bins.edges == pytest.approx([9 / 15, 14 / 15])
    assert bins.photos.tolist() == [3, 1]
    assert bins.right == pytest.approx([1 / 3, 1])
    assert bins.confidence == pytest.approx([0.63, 0.97])
    error = (bins.photos * abs(bins.right - bins.confidence)).sum() / 4
    assert error == pytest.approx(calibration_error(probabilities, truth))
