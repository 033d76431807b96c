"""Headless Chromium with access to no host except the service."""

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
    "--use-fake-device-for-media-stream",  # a webcam that shows a green picture
    "--use-fake-ui-for-media-stream",  # and that every page may use
]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed. Install it: CI must test the pages.")
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=90_000)  # the machine may be busy
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open a page; fail at the end after a request to another host or a console error."""
    foreign_urls, errors, contexts = [], [], []

    def start(client, path="/", *, may_log_errors=False, **options):
        host = client.base_url.netloc.decode()

        def allow_the_service(route):
            url = urlsplit(route.request.url)
            if url.netloc == host or url.scheme in ("data", "blob"):
                route.continue_()
            else:
                foreign_urls.append(route.request.url)
                route.abort()

        context = browser.new_context(**{"viewport": {"width": 1280, "height": 1000}, **options})
        contexts.append(context)
        context.route("**/*", allow_the_service)
        page = context.new_page()
        page.set_default_timeout(90_000)
        if not may_log_errors:
            page.on(
                "console",
                lambda line: errors.append(line.text) if line.type == "error" else None,
            )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path if path == "about:blank" else f"{client.base_url}{path}")
        return page

    yield start
    for context in contexts:
        context.close()
    assert foreign_urls == []
    assert errors == []
