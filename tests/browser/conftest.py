"""Headless Chromium with every host but the service closed."""

import os
import shutil
from urllib.parse import urlsplit

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed. Install it: CI must see the pages.")
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=20_000)  # other work may share the machine
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens a page; at the end nothing may have gone to another host or been complained of."""
    foreign, complaints, opened = [], [], []

    def start(client, path="/", *, may_complain=False, **options):
        host = client.base_url.netloc.decode()

        def only_ours(route):
            url = urlsplit(route.request.url)
            if url.netloc == host or url.scheme in ("data", "blob"):
                route.continue_()
            else:
                foreign.append(route.request.url)
                route.abort()

        context = browser.new_context(**{"viewport": {"width": 1280, "height": 1000}, **options})
        opened.append(context)
        context.route("**/*", only_ours)
        page = context.new_page()
        page.set_default_timeout(20_000)
        if not may_complain:
            page.on(
                "console",
                lambda said: complaints.append(said.text) if said.type == "error" else None,
            )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{client.base_url}{path}")
        return page

    yield start
    for context in opened:
        context.close()
    assert foreign == []
    assert complaints == []
