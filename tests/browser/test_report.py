"""The report in headless Chromium, opened from disk: no requests to hosts, no overflow."""

from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

from app.bundle import Label, Metrics, UnknownRule
from training import report
from training.data.findings import Finding, Findings
from training.report import Content, Curve, Line

pytestmark = pytest.mark.browser


@pytest.fixture
def page_of(tmp_path, make_bundle):
    """Write a report with every section for this number of classes; return its address."""

    def write(classes):
        rng = np.random.default_rng(0)
        labels = [f"a class with a rather long name {index}" for index in range(classes)]
        truth = np.arange(4 * classes) % classes
        logits = rng.normal(size=(len(truth), classes)) + 3 * np.eye(classes)[truth]
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        manifest = make_bundle().manifest.model_copy(
            update={
                "labels": tuple(Label(name=label) for label in labels),
                "unknown": UnknownRule(score="familiarity", threshold=0.4, accepts=0.95),
            }
        )
        names = tuple(f"{labels[label]}/photo{'-' * 60}{i}.jpg" for i, label in enumerate(truth))
        tiny = Finding("tiny", "Tiny", names)
        copies = Finding("copies", "Copies", names[:2], (names[:2], names[2:4]))
        unusable = Finding("unusable", "Files that can't be used", names[:3])
        lines = (Line("train", [3, 2, 1]), Line("val", [3, 2, 2]))
        content = Content(
            manifest=manifest,
            measured_on="photos, its test split",
            figures={"fp32": Metrics(top1=0.5, top5=0.9, ece=0.1, images=len(truth), on="photos")},
            truth=truth,
            probabilities={"fp32": probabilities},
            names=names,
            thumbnails=lambda index: rng.integers(0, 256, (64, 64, 3), np.uint8),
            uncalibrated=probabilities,
            sizes={part: np.full(classes, 1234) for part in ("train", "val", "test")},
            findings=Findings(9, dict.fromkeys(labels, 9), {"JPEG": 9}, (unusable, copies, tiny)),
            curves=(Curve("Loss", "epoch", "loss", lines),),
            scores=rng.uniform(size=len(truth)),
            data_photo=lambda name: rng.integers(0, 256, (64, 64, 3), np.uint8),
            int8="int8 on 1299 photos: drop 0.31 points.",
        )
        return report.write(content, tmp_path).as_uri()

    return write


@pytest.mark.parametrize("classes", [2, 24])
def test_it_opens_in_both_themes_on_phone_and_desktop(browser, page_of, classes):
    address = page_of(classes)
    for width, scheme in ((360, "light"), (1280, "dark")):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        _check(context.new_page(), address, width, scheme)
        context.close()


def _check(page, address, width, scheme):
    messages, urls = [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: urls.append(request.url))
    page.goto(address)
    broken = "[...document.images].filter(image => !image.complete || !image.naturalWidth).length"
    page.wait_for_function(f"({broken}) === 0")
    assert messages == []
    assert [url for url in urls if not url.startswith(("data:image/", "data:font/"))] == [address]
    violations = Axe().run(page).response["violations"]
    assert [(found["id"], found["nodes"][0]["html"]) for found in violations] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(20, 18, 15)") == (scheme == "dark")
    ink = page.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
    assert ink == ("rgb(241, 235, 226)" if scheme == "dark" else "rgb(31, 27, 22)")


def test_the_service_shows_it_without_errors_of_its_policy(open_page, page_of, make_bundle, serve):
    html = Path(urlsplit(page_of(2)).path).read_bytes()
    make_bundle(name="pets", report={"index.html": html})
    with serve() as client:
        page = open_page(client, "/api/v1/models/pets/report/")
        fonts = "[...document.fonts].filter(font => font.status === 'loaded').length"
        page.wait_for_function(f"{fonts} === 2")
        page.wait_for_load_state("networkidle")
        assert page.evaluate(fonts) == 2
