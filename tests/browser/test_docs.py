"""/docs in headless Chromium with every other host closed: requests are tried from the page."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.browser

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
CLASSIFY = "#operations-classify-classify_api_v1_classify_post"


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed. Install it: CI must see the docs page.")
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def open_docs(browser, serve, tmp_path):
    """Opens /docs; at the end nothing may have gone to another host or been complained of."""
    foreign, complaints, opened = [], [], []

    def start(client, *, may_complain: bool = False):
        host = client.base_url.netloc.decode()

        def only_ours(route):
            url = urlsplit(route.request.url)
            if url.netloc == host or url.scheme in ("data", "blob"):
                route.continue_()
            else:
                foreign.append(route.request.url)
                route.abort()

        context = browser.new_context(viewport={"width": 1280, "height": 1000})
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
        page.goto(f"{client.base_url}/docs")
        page.wait_for_selector(CLASSIFY)
        return page

    yield start
    for context in opened:
        context.close()
    assert foreign == []
    assert complaints == []


@pytest.fixture
def picture(imagenet) -> Path:
    return imagenet / "golden/chelsea.jpg"


@pytest.fixture
def shoot(tmp_path) -> Callable[..., None]:
    """Leaves a picture of what the page shows, its answer in view, for people to look at."""

    def take(page, name: str) -> None:
        if page.locator(".live-responses-table").count():
            page.locator(".live-responses-table").first.scroll_into_view_if_needed()
        page.screenshot(path=tmp_path / f"{name}.png")

    return take


def _expand(page, content_type: str):
    operation = page.locator(CLASSIFY)
    operation.locator("button.opblock-summary-control").click()
    operation.locator(".opblock-section-request-body select.content-type").select_option(
        content_type
    )
    return operation


def _execute(page, operation) -> str:
    with page.expect_response(re.compile("/api/v1/classify")) as got:
        operation.locator("button.execute").click()
    answer = operation.locator(".live-responses-table .response").first
    answer.locator(".response-col_status", has_text=str(got.value.status)).wait_for()
    return answer.inner_text()


def test_a_raw_photo_is_classified_from_the_page(
    serve, make_bundle, open_docs, photo, tmp_path, shoot
):
    make_bundle()
    file = tmp_path / "photo.jpg"
    file.write_bytes(photo("green"))
    with serve() as client:
        page = open_docs(client)
        operation = _expand(page, "image/jpeg")
        shoot(page, "raw")
        operation.locator("input[type=file]").set_input_files(file)
        text = _execute(page, operation)
        shoot(page, "raw-answer")
    assert "200" in text
    assert '"label": "green"' in text


def test_several_photos_are_classified_from_the_page(
    serve, make_bundle, open_docs, photo, tmp_path, shoot
):
    make_bundle()
    for colour in ("blue", "red"):
        (tmp_path / f"{colour}.jpg").write_bytes(photo(colour))
    with serve() as client:
        page = open_docs(client)
        operation = _expand(page, "multipart/form-data")
        for place, colour in enumerate(("blue", "red")):
            if place:  # the form begins with one
                operation.locator("button.json-schema-form-item-add").click()
            operation.locator("input[type=file]").nth(place).set_input_files(
                tmp_path / f"{colour}.jpg"
            )
        shoot(page, "multipart")
        text = _execute(page, operation)
        shoot(page, "multipart-answer")
    assert "200" in text
    labels = re.findall(r'"label": "(\w+)"', text)
    assert (labels[0], labels[3]) == ("blue", "red")


def test_a_problem_can_be_read_on_the_page(serve, make_bundle, open_docs, tmp_path, shoot):
    make_bundle()
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"no image")
    with serve() as client:
        page = open_docs(client, may_complain=True)  # the browser itself tells of every 400
        operation = _expand(page, "image/jpeg")
        operation.locator("input[type=file]").set_input_files(file)
        text = _execute(page, operation)
        shoot(page, "problem")
    assert '"code": "not_an_image"' in text
    assert "Send the bytes of a JPEG" in text


@pytest.mark.parametrize("scheme", ["HTTPBearer", "APIKeyHeader"])
def test_the_authorize_dialog_sends_the_key(
    serve, make_bundle, open_docs, photo, tmp_path, shoot, scheme
):
    make_bundle()
    file = tmp_path / "photo.jpg"
    file.write_bytes(photo("red"))
    with serve(api_key="hush") as client:
        page = open_docs(client, may_complain=True)  # the browser itself tells of the 401
        operation = _expand(page, "image/jpeg")
        operation.locator("input[type=file]").set_input_files(file)
        assert '"code": "unauthenticated"' in _execute(page, operation)
        page.locator(".auth-wrapper > button.authorize").click()
        part = page.locator(".auth-container", has_text=scheme)
        part.locator("input").fill("hush")
        shoot(page, "authorize")
        part.locator("button[type=submit]").click()
        page.locator(".dialog-ux .close-modal").click()
        assert '"label": "red"' in _execute(page, operation)


@pytest.mark.slow
def test_the_built_in_model_is_tried_from_the_page(
    serve, open_docs, imagenet, picture, monkeypatch, shoot
):
    monkeypatch.setattr("app.runtime.registry.BUILT_IN_MODELS", imagenet.parent)
    with serve(models=None) as client:
        page = open_docs(client)
        operation = _expand(page, "image/jpeg")
        operation.locator("input[type=file]").set_input_files(picture)
        text = _execute(page, operation)
        shoot(page, "imagenet")
    assert re.search(r'"label": "Egyptian cat"', text)
