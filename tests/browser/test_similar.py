"""The page shows similar photos where the service has an index of the chosen model."""

import base64
import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

INDEX = {
    "name": "holidays",
    "model": "colours",
    "version": 1,
    "photos": 1234,
    "dimension": 3,
    "thumbnails": True,
    "created": "2026-11-29T12:00:00+00:00",
    "ready": True,
    "reason": None,
}


def responds(document):
    return lambda route: route.fulfill(body=json.dumps(document))


def test_similar_photos_are_shown_for_the_model_of_the_index(make_bundle, serve, open_page, photo):
    make_bundle()
    small = base64.b64encode(photo("green", (40, 40))).decode()
    results = [
        {"path": "2019/<i>.jpg", "similarity": 0.91349, "sha256": "0" * 64},
        {"path": "b.jpg", "similarity": 0.5, "sha256": "0" * 64},
    ]
    found = {"results": [r | {"thumbnail": f"data:image/jpeg;base64,{small}"} for r in results]}
    indexes = [INDEX | {"model": "other"}]
    files = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo("red")}
    with serve() as client:
        for listed in (indexes, [*indexes, INDEX]):
            page = open_page(client)
            page.route("**/indexes", responds({"indexes": listed}))
            page.route("**/similar?**", responds(found))
            page.locator("#files").set_input_files(files)
            expect(page.locator("#step-request")).to_be_visible()
            section = page.locator("#similar")
            if listed == indexes:
                expect(section).to_be_hidden()
                page.context.close()
        expect(section).to_be_visible()
        assert "Of 1,234 photos in “holidays”" in section.inner_text()
        expect(section.locator("li")).to_have_text(["<i>.jpg0.91", "b.jpg0.50"])
        expect(section.locator("img")).to_have_count(2)
        page.context.close()
