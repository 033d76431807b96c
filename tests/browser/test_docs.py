"""The page /docs in headless Chromium: requests are sent from the page, to no other host."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

CLASSIFY = "#operations-classify-classify_api_v1_classify_post"


@pytest.fixture
def open_docs(open_page):
    """Open /docs."""

    def start(client, *, all_routes=False, **options):
        page = open_page(client, "about:blank", **options)
        if not all_routes:  # they take Chromium many seconds
            page.route("**/openapi.json", _one_route)
        page.goto(f"{client.base_url}/docs")
        page.wait_for_selector(CLASSIFY)
        return page

    return start


def _one_route(route):
    """Let Swagger UI read the document of the service with the route `classify` alone."""
    document = route.fetch().json()
    path = "/api/v1/classify"
    document["paths"] = {path: document["paths"][path]}
    schemas = document["components"]["schemas"]
    names, found = set(), _schemas_of(document["paths"])
    while found:
        names |= found
        found = _schemas_of([schemas[name] for name in found]) - names
    document["components"]["schemas"] = {name: schemas[name] for name in names}
    route.fulfill(json=document)


def _schemas_of(part) -> set[str]:
    return set(re.findall(r"#/components/schemas/([\w.-]+)", json.dumps(part)))


@pytest.fixture
def picture(imagenet) -> Path:
    return imagenet / "golden/chelsea.jpg"


@pytest.fixture
def shoot(tmp_path) -> Callable[..., None]:
    """Save a screenshot with the response in view, for inspection by people."""

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
    response = operation.locator(".live-responses-table .response").first
    response.locator(".response-col_status", has_text=str(got.value.status)).wait_for()
    return response.inner_text()


def test_a_raw_photo_is_classified_from_the_page(client, open_docs, photo, tmp_path, shoot):
    file = tmp_path / "photo.jpg"
    file.write_bytes(photo("green"))
    page = open_docs(client)
    operation = _expand(page, "image/jpeg")
    shoot(page, "raw")
    operation.locator("input[type=file]").set_input_files(file)
    text = _execute(page, operation)
    shoot(page, "raw-response")
    assert "200" in text
    assert '"label": "green"' in text


def test_several_photos_are_classified_from_the_page(client, open_docs, photo, tmp_path, shoot):
    for colour in ("blue", "red"):
        (tmp_path / f"{colour}.jpg").write_bytes(photo(colour))
    page = open_docs(client)
    operation = _expand(page, "multipart/form-data")
    for place, colour in enumerate(("blue", "red")):
        if place:  # the form begins with one
            files = operation.locator(".opblock-section-request-body")
            files.locator("button.json-schema-form-item-add").first.click()
        operation.locator("input[type=file]").nth(place).set_input_files(tmp_path / f"{colour}.jpg")
    shoot(page, "multipart")
    text = _execute(page, operation)
    shoot(page, "multipart-response")
    assert "200" in text
    labels = re.findall(r'"label": "(\w+)"', text)
    assert (labels[0], labels[3]) == ("blue", "red")


def test_a_problem_is_shown_on_the_page(client, open_docs, tmp_path, shoot):
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"no image")
    page = open_docs(client, may_log_errors=True)  # the browser logs every 400
    operation = _expand(page, "image/jpeg")
    operation.locator("input[type=file]").set_input_files(file)
    text = _execute(page, operation)
    shoot(page, "problem")
    assert '"code": "not_an_image"' in text
    assert "Send the bytes of a JPEG" in text


def test_the_authorize_dialog_sends_the_key(serve, make_bundle, open_docs, photo, tmp_path, shoot):
    make_bundle()
    file = tmp_path / "photo.jpg"
    file.write_bytes(photo("red"))
    with serve(api_key="hush") as client:
        page = open_docs(client, may_log_errors=True)  # the browser logs the 401
        operation = _expand(page, "image/jpeg")
        operation.locator("input[type=file]").set_input_files(file)
        for scheme in ("HTTPBearer", "APIKeyHeader"):
            assert '"code": "unauthenticated"' in _execute(page, operation)
            page.locator(".auth-wrapper > button.authorize").click()
            part = page.locator(".auth-container", has_text=scheme)
            part.locator("input").fill("hush")
            shoot(page, f"authorize-{scheme}")
            part.locator("button[type=submit]").click()
            page.locator(".dialog-ux .close-modal").click()
            assert '"label": "red"' in _execute(page, operation)
            page.locator(".auth-wrapper > button.authorize").click()
            part.get_by_text("Logout").click()
            page.locator(".dialog-ux .close-modal").click()


@pytest.mark.slow
def test_the_built_in_model_classifies_from_the_page(imagenet_client, open_docs, picture, shoot):
    page = open_docs(imagenet_client, all_routes=True)
    operation = _expand(page, "image/jpeg")
    operation.locator("input[type=file]").set_input_files(picture)
    text = _execute(page, operation)
    shoot(page, "imagenet")
    assert re.search(r'"label": "Egyptian cat"', text)


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (1280, "dark")])
def test_the_page_has_the_dress_of_the_others_in_both_themes(
    client, open_docs, shoot, theme, width
):
    page = open_docs(client, color_scheme=theme, viewport={"width": width, "height": 800})
    _expand(page, "image/jpeg")
    shoot(page, f"docs-{width}-{theme}")
    expected = "rgb(20, 18, 15)" if theme == "dark" else "rgb(250, 247, 242)"
    for element in ("html", "body") if theme == "dark" else ("body",):
        colour = f"getComputedStyle(document.querySelector('{element}')).backgroundColor"
        assert page.evaluate(colour) == expected
    title = "getComputedStyle(document.querySelector('.info .title')).fontFamily"
    assert page.evaluate(title).startswith("Newsreader")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    unreadable = Axe().run(page, options={"runOnly": ["color-contrast"]}).response["violations"]
    assert [[node["html"] for node in found["nodes"]][:5] for found in unreadable] == []


def test_the_theme_follows_the_system_while_the_page_is_open(client, open_docs):
    page = open_docs(client, color_scheme="light")
    page.emulate_media(color_scheme="dark")
    expect(page.locator("html")).to_have_class("dark-mode")
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).to_have_class("")
