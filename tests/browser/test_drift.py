"""The panel that says in words whether the photos of late are like those of training."""

import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def _bins(**shares):
    return [
        {"name": name, "expected": expected, "actual": actual}
        for name, (expected, actual) in shares.items()
    ]


STATISTICS = [
    {
        "of": "decision",
        "status": "significant",
        "bins": _bins(accepted=(0.9, 0.5), unsure=(0.1, 0.5)),
    },
    {"of": "label", "status": "moderate", "bins": _bins(red=(0.3, 0.6), green=(0.4, 0.1))},
    {"of": "confidence", "status": "stable", "bins": _bins(low=(0.5, 0.5), high=(0.5, 0.5))},
]
EMBEDDING = {"distance": 0.4, "limit": 0.25, "status": "significant"}


def _report(status, statistics=(), embedding=None):
    return {
        "status": status,
        "images": 1240,
        "baseline_images": 209,
        "statistics": statistics,
        "embedding": embedding,
    }


def test_the_panel_says_what_has_changed_and_appears_once_there_is_enough_to_compare(
    make_bundle, serve, open_page, photo
):
    make_bundle()
    told = _report("too_few")
    with serve() as client:
        page = open_page(client)
        page.route("**/drift?**", lambda route: route.fulfill(body=json.dumps(told)))
        files = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo("red")}
        panel = page.locator("#drift")
        with page.expect_response("**/drift?**"):
            page.locator("#files").set_input_files(files)
        expect(page.locator("#step-request")).to_be_visible()
        expect(panel).to_be_hidden()

        told = _report("significant", STATISTICS, EMBEDDING)
        with page.expect_response("**/drift?**"):
            page.locator("#files").set_input_files({**files, "name": "b.jpg"})
        expect(panel).to_be_visible()
        panel.locator("summary").click()
        text = panel.inner_text()
        assert "The last 1,240 photos differ clearly" in text
        changes = panel.locator("li").all_inner_texts()
        assert changes == [
            "More answers are unsure: 50 % instead of 10 %.",
            "More photos show red, 60 % instead of 30 %, and fewer green, 10 % instead of 40 %.",
            "The photos themselves look different to the network, whatever it answers.",
        ]
        assert "209 photos of the test" in text
        page.context.close()  # before the service ends: what the page still loads would fail
