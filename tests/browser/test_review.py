"""The review page in headless Chromium: by keys, by mouse and by touch; who may see it, and how."""

import re
import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from benchmarks.review_page import fill

pytestmark = pytest.mark.browser

WEB = Path(__file__).parents[2] / "app/web"
CAPTURES, ADMIN = "/api/v1/captures", {"X-API-Key": "adm"}
PHOTOS = 120
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 900}}
TILES = ".tile:visible"


@pytest.fixture(scope="module")
def service(module_bundle_maker, module_serve, tmp_path_factory):
    below = tmp_path_factory.mktemp("service")
    module_bundle_maker(below)()
    (below / "data").mkdir()
    fill(below / "data", Path(__file__).parents[2] / "model/imagenet/golden", PHOTOS)
    with module_serve(below, data_dir=below / "data", api_key="hush", admin_key="adm") as client:
        yield client


@pytest.fixture
def open_review(service, open_page):
    """Open the page with the admin key, and wait for its photos."""

    def start(path="/review", **options):
        page = open_page(service, "about:blank", **options)
        page.add_init_script("sessionStorage.setItem('hubel-key', 'adm')")
        page.goto(f"{service.base_url}{path}")
        expect(page.locator(TILES).first).to_have_attribute("aria-label", re.compile("predicted"))
        return page

    return start


def labels_in_store(service):
    """Return the labels of all photos with labels, by id, as they are stored."""
    page = service.get(CAPTURES, params={"labelled": True, "count": 500}, headers=ADMIN).json()
    return {capture["id"]: capture["labels"] for capture in page["captures"]}


def stored(page, service, expected):
    """Wait until just these labels are stored: requests go one after the other."""
    until = time.monotonic() + 10
    while (found := labels_in_store(service)) != expected and time.monotonic() < until:
        page.wait_for_timeout(50)
    assert found == expected


def told(page, text):
    expect(page.locator("#status")).to_contain_text(text)


def settle(page):
    """Wait until everything is saved."""
    page.wait_for_load_state("networkidle")


def order_of(service):
    params = {"labelled": False}
    return service.get(f"{CAPTURES}/ids", params=params, headers=ADMIN).json()["ids"]


def test_photos_are_labelled_and_changed_back_by_keys_alone(service, open_review):
    ids = order_of(service)
    page = open_review()
    first = page.locator("#labels .label-key").nth(0).locator("span").inner_text()
    second = page.locator("#labels .label-key").nth(1).locator("span").inner_text()
    page.locator(".tile[tabindex='0']").focus()
    page.keyboard.press("1")
    told(page, f"1 photo: {first}")
    expect(page.locator(TILES).nth(1)).to_be_focused()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    told(page, "3 photos selected")
    page.keyboard.press("2")
    told(page, f"3 photos: {second}")
    page.keyboard.press("0")
    told(page, "1 photo: none of these labels")
    page.keyboard.press("n")
    page.locator("#new-label-name").fill("  zebra ")
    page.keyboard.press("Enter")
    told(page, "1 photo: zebra")
    settle(page)
    expected = {
        ids[0]: [first],
        **{id: [second] for id in ids[1:4]},
        ids[4]: [],
        ids[5]: ["zebra"],
    }
    stored(page, service, expected)
    expect(page.locator(TILES).nth(4).locator(".given")).to_have_text("none of these")

    for _ in range(4):
        page.locator(".tile[tabindex='0']").press("Control+z")
    settle(page)
    told(page, "Taken back for 1 photo")
    stored(page, service, {})
    expect(page.locator(TILES).nth(0)).to_be_focused()


def test_many_are_selected_by_mouse_and_confirmed(service, open_review):
    page = open_review("/review?order=newest")
    tiles = page.locator(TILES)
    tiles.nth(0).click()
    tiles.nth(4).click(modifiers=["Shift"])
    tiles.nth(2).click(modifiers=["Control"])
    told(page, "4 photos selected")
    expect(page.locator(".tile[aria-selected='true']")).to_have_count(4)
    page.get_by_role("button", name="Predictions are right").click()
    told(page, "4 photos: labelled as predicted")
    settle(page)
    kept = service.get(CAPTURES, params={"labelled": True}, headers=ADMIN).json()["captures"]
    assert len(kept) == 4
    assert all(each["labels"] == [each["predictions"][0]["label"]] for each in kept)
    expect(page.locator("#progress-told")).to_have_text(f"4 of {PHOTOS} have a label")
    page.get_by_role("button", name="Refresh").click()  # they leave
    expect(page.locator(".tile.done")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()  # and come back
    expect(page.locator(TILES).nth(0)).to_be_visible()
    settle(page)
    stored(page, service, {})
    page.get_by_role("button", name="Select the screen").click()
    expect(page.locator(".tile[aria-selected='true']").nth(6)).to_be_visible()


def test_filters_are_in_the_address(service, open_review):
    page = open_review()
    if page.locator("#narrow").get_attribute("open") is None:
        page.locator("#narrow summary").click()
    page.get_by_label("Decision").select_option("unknown")
    page.get_by_label("Order").select_option("newest")
    expect(page).to_have_url(re.compile(r"review\?decision=unknown&order=newest$"))
    expect(page.locator(TILES).nth(0)).to_have_attribute("aria-label", re.compile("unlike"))
    page.reload()
    expect(page.get_by_label("Decision")).to_have_value("unknown")
    expect(page.locator("#narrowed")).to_have_text("To be labelled · unknown, newest first")
    params = {"labelled": False, "decision": "unknown"}
    expected = len(service.get(f"{CAPTURES}/ids", params=params, headers=ADMIN).json()["ids"])
    columns = int(page.locator("#photos").get_attribute("aria-colcount"))
    rows = page.locator("#photos").get_attribute("aria-rowcount")
    assert int(rows) == -(-expected // columns)
    page.get_by_label("Until").fill("2001-01-01")
    expect(page.locator("#empty h2")).to_have_text("No photo is like this")


def test_only_photos_near_the_screen_are_in_the_document(open_review):
    page = open_review(viewport={"width": 500, "height": 700})
    assert int(page.locator("#photos").get_attribute("aria-rowcount")) * 3 >= PHOTOS
    page.locator(".tile[tabindex='0']").focus()
    page.keyboard.press("Control+End")
    expect(page.locator(".tile:focus")).to_have_attribute(
        "aria-label", re.compile(f"^Photo {PHOTOS}: no label yet; predicted")
    )
    expect(page.locator(".tile:focus img")).to_be_visible()
    assert page.locator(".tile").count() < PHOTOS / 2
    page.keyboard.press("Control+Home")
    expect(page.locator(".tile:focus")).to_have_attribute("data-place", "0")


def test_photos_are_deleted_once_that_is_confirmed(service, open_review):
    page = open_review()
    ids = order_of(service)
    page.locator(TILES).nth(0).click()
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Keep them").click()
    assert order_of(service) == ids
    page.keyboard.press("Delete")
    page.locator("#confirm-delete-go").click()
    told(page, "1 photo deleted")
    assert sorted(order_of(service)) == sorted(ids[1:])
    expect(page.locator(TILES).nth(0)).to_be_focused()


def test_the_photos_are_deleted_that_the_dialog_was_opened_for(service, open_review):
    page = open_review()
    ids = order_of(service)
    page.locator(TILES).nth(0).click()
    page.keyboard.press("Delete")
    service.patch(CAPTURES, json={"ids": ids[:1], "labels": ["x"]}, headers=ADMIN)
    page.evaluate("document.getElementById('refresh').click()")  # the first photo leaves the list
    told(page, "Refreshed.")
    page.locator("#confirm-delete-go").click()
    told(page, "1 photo deleted")
    assert sorted(order_of(service)) == sorted(ids[1:])
    stored(page, service, {})


def test_a_photo_is_shown_large(service, open_review):
    page = open_review("/review?order=unsure")
    page.locator(".tile[tabindex='0']").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#closeup-image")).to_have_attribute("alt", "The photo")
    expect(page.locator("#closeup-title")).to_have_text("No label yet")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#closeup-told")).to_contain_text("Photo 2 of")
    page.keyboard.press("0")
    expect(page.locator("#closeup-told")).to_contain_text("Photo 3 of")
    page.keyboard.press("Escape")
    expect(page.locator(TILES).nth(2)).to_be_focused()
    expect(page.locator(TILES).nth(1).locator(".given")).to_have_text("none of these")
    page.keyboard.press("z")
    told(page, "Taken back")
    settle(page)
    stored(page, service, {})


def test_a_phone_selects_by_touch(service, open_review):
    page = open_review(
        viewport=SIZES["phone"], has_touch=True, is_mobile=True, device_scale_factor=2
    )
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    for place in (0, 3):
        page.locator(TILES).nth(place).tap()
    told(page, "2 photos selected")
    label = page.locator("#labels .label-key").first
    label.tap()
    told(page, "2 photos:")
    page.get_by_role("button", name="Undo").tap()
    told(page, "Taken back for 2 photos")
    settle(page)
    stored(page, service, {})


def test_a_change_that_is_not_saved_is_taken_back(service, open_review):
    page = open_review(may_log_errors=True)
    page.route("**/api/v1/captures", lambda route: route.abort("connectionrefused"))
    page.locator(".tile[tabindex='0']").focus()
    page.keyboard.press("1")
    expect(page.locator("#problem h2")).to_have_text("The service doesn't answer")
    expect(page.locator(".tile.done")).to_have_count(0)
    stored(page, service, {})


HOLD_FIRST_PATCH = """() => {
  const real = window.fetch;
  let held = false;
  window.fetch = (request, options) => {
    if (held || (options?.method ?? request.method) !== "PATCH") return real(request, options);
    held = true;
    return new Promise((_, reject) => (window.refuse = () => reject(new TypeError("refused"))));
  };
}"""


def test_what_was_never_saved_is_neither_shown_nor_brought_back(service, open_review):
    (first, *_) = order_of(service)
    page = open_review(may_log_errors=True)
    second = page.locator("#labels .label-key").nth(1).locator("span").inner_text()
    page.evaluate(HOLD_FIRST_PATCH)
    tiles = page.locator(TILES)
    page.locator(".tile[tabindex='0']").focus()
    page.keyboard.press("1")
    expect(tiles.nth(1)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(tiles.nth(0)).to_be_focused()
    page.keyboard.press("2")
    told(page, f"1 photo: {second}")
    page.evaluate("refuse()")
    expect(page.locator("#problem h2")).to_have_text("The service doesn't answer")
    settle(page)
    expect(page.locator(TILES).nth(0).locator(".given")).to_have_text(second)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    stored(page, service, {first: [second]})
    service.patch(CAPTURES, json={"ids": [first], "labels": None}, headers=ADMIN)


def test_of_a_large_change_the_part_that_was_saved_is_shown_and_can_be_taken_back(
    service, open_review
):
    source = (WEB / "review/service.js").read_text().replace("MOST_IDS = 500", "MOST_IDS = 2")
    page = open_review(may_log_errors=True)
    page.route(
        "**/review/service.js",
        lambda route: route.fulfill(body=source, content_type="text/javascript"),
    )
    page.reload()
    expect(page.locator(TILES).first).to_have_attribute("aria-label", re.compile("predicted"))
    tiles = page.locator(TILES)
    tiles.nth(0).click()
    tiles.nth(3).click(modifiers=["Shift"])
    sent = []

    def refuse(route):
        sent.append(route)
        if len(sent) % 2:
            route.continue_()
        else:
            route.abort("connectionrefused")

    page.route("**/api/v1/captures", refuse)
    page.keyboard.press("1")
    expect(page.locator("#problem h2")).to_have_text("The service doesn't answer")
    expect(page.locator(".tile.done")).to_have_count(2)
    assert len(labels_in_store(service)) == 2
    sent.append(None)  # so that the next one is refused
    page.locator(".tile[tabindex='0']").press("z")
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    expect(page.locator(".tile.done")).to_have_count(2)
    page.unroute("**/api/v1/captures")
    page.locator(".tile[tabindex='0']").press("z")
    told(page, "Taken back for 2 photos")
    settle(page)
    expect(page.locator(".tile.done")).to_have_count(0)
    stored(page, service, {})


def test_nobody_sees_a_photo_without_the_scope(service, open_page):
    page = open_page(service, "/review", may_log_errors=True)  # the browser logs each 401
    images = []
    page.on("response", lambda r: images.append(r.status) if "/image" in r.url else None)
    expect(page.locator("#key")).to_be_focused()
    page.locator("#key").fill("hush")
    page.keyboard.press("Enter")
    expect(page.locator("#key-told")).to_contain_text("doesn't allow")
    assert page.locator(".tile").count() == 0
    assert images == []
    page.locator("#key").fill("adm")
    page.keyboard.press("Enter")
    expect(page.locator(".tile img[src]").first).to_be_visible()
    assert set(images) == {200}
    url = f"{CAPTURES}/{order_of(service)[0]}/image?size=240"
    asked = "([url, key]) => fetch(url, { headers: key ? { Authorization: `Bearer ${key}` } : {} })"
    asked += ".then((answer) => answer.status)"
    assert page.evaluate(asked, [url, "adm"]) == 200
    assert page.evaluate(asked, [url, ""]) == 401  # not from the browser's cache
    assert page.evaluate(asked, [url, "hush"]) == 403
    page.evaluate("sessionStorage.clear()")
    page.reload()
    expect(page.locator("#key")).to_be_focused()
    assert page.locator(".tile").count() == 0


def test_a_service_that_keeps_nothing_says_so(
    module_bundle_maker, module_serve, tmp_path, open_page
):
    module_bundle_maker(tmp_path)()
    with module_serve(tmp_path, admin_key="adm") as client:
        page = open_page(client, "about:blank", may_log_errors=True)
        page.add_init_script("sessionStorage.setItem('hubel-key', 'adm')")
        page.goto(f"{client.base_url}/review")
        expect(page.locator("#problem h2")).to_have_text("This service keeps no photos")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing(open_review, size, theme, tmp_path):
    page = open_review(viewport=SIZES[size], color_scheme=theme)
    page.locator(TILES).nth(1).click()
    page.keyboard.press("1")
    page.locator(TILES).nth(2).click()
    page.keyboard.press("Shift+ArrowRight")
    if size == "phone":
        page.locator("#narrow summary").click()
    page.wait_for_load_state("networkidle")
    accessible(page)
    page.screenshot(path=tmp_path / "review.png")
    if (size, theme) in {("phone", "dark"), ("desktop", "light")}:
        page.locator(".tile[tabindex='0']").press("Enter")
        expect(page.locator("#closeup-image")).to_have_attribute("alt", "The photo")
        accessible(page)
        page.keyboard.press("Escape")
        page.locator(".tile[tabindex='0']").press("?")
        accessible(page)
        page.keyboard.press("Escape")
    page.locator(".tile[tabindex='0']").press("z")
    settle(page)


def accessible(page):
    violations = Axe().run(page).response["violations"]
    assert [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in violations] == []


def test_the_page_is_small_and_its_policy_is_strict(service):
    files = [WEB / "review.html", *(WEB / "review").iterdir()]
    assert sum(file.stat().st_size for file in files) < 80_000
    response = service.get("/review")
    assert (
        response.headers["content-security-policy"]
        == service.get("/").headers["content-security-policy"]
    )
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", response.text)
