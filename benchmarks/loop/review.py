"""What a person does on /review: all kept photos get one label."""

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from playwright.sync_api import Page, expect

from benchmarks.loop.pages import shoot

_PAGE = 500
_SAVED_MS = 1500


def forget_kept(url: str, key: str) -> None:
    """Delete all photos that were kept, such as those that measured the accuracy."""
    while ids := kept_ids(url, key):
        _ask(url, key, "DELETE", "?" + "&".join(f"id={id}" for id in ids))


def kept_ids(url: str, key: str) -> list[int]:
    """Return the ids of the newest photos that were kept."""
    return [each["id"] for each in _ask(url, key, "GET", f"?count={_PAGE}")["captures"]]


def label_all(page: Page, url: str, label: str, shots: Path) -> None:
    """Select all photos on the page, a screen at a time, and give them a new label."""
    page.goto(f"{url}/review")
    cells = page.locator("#photos [role=gridcell]:visible")
    expect(cells.first).to_be_visible()
    shoot(page, shots, "review")
    while cells.count():
        cells.first.focus()
        page.keyboard.press("a")
        page.keyboard.press("n")
        page.locator("#new-label-name").fill(label)
        page.keyboard.press("Enter")
        expect(page.locator("#labels")).to_contain_text(label)
        page.wait_for_timeout(_SAVED_MS)
        shoot(page, shots, "reviewed")
        cells.first.focus()
        page.keyboard.press("r")  # those with a label leave
        page.wait_for_timeout(_SAVED_MS)


def _ask(url: str, key: str, method: str, query: str) -> Any:
    request = Request(f"{url}/api/v1/captures{query}", headers={"X-API-Key": key}, method=method)
    with urlopen(request) as response:
        return json.load(response)
