"""The page in headless Chromium, used as a new user does, with access to no other host."""

import io
import json
import logging
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

THEMES = ("light", "dark")
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 900}}
STEPS = ("pixels", "convolution", "nonlinearity", "pooling", "probabilities", "request")
MODEL_CALL = re.compile(r"/api/v1/(classify|explain|activations|embed)")
WEB = Path(__file__).parents[2] / "app/web"


@pytest.fixture
def golden(imagenet):
    return imagenet / "golden"


@pytest.fixture
def save(tmp_path, photo):
    """Write a photo of one colour and return its path."""

    def write(colour, name=None):
        file = tmp_path / (name or f"{colour}.jpg")
        file.write_bytes(photo(colour))
        return file

    return write


def choose(page, *files):
    """Choose photos with the button."""
    page.locator("#files").set_input_files(files)


def drop(page, file: Path):
    """Drop a file on the page."""
    data = list(file.read_bytes())
    transfer = page.evaluate_handle(
        """([bytes, name]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
          return transfer;
        }""",
        [data, file.name],
    )
    for kind in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#drop", kind, {"dataTransfer": transfer})


def answers(calls):
    """Return the kinds of requests for the answer; the tour asks for activations by itself."""
    kinds = [MODEL_CALL.search(url)[1] for url in calls]
    return [kind for kind in kinds if kind != "activations"]


def first_label(page):
    return page.locator("#bars button").first


def open_step(page, name):
    """Bring a step of the tour into view, and wait until its picture is there."""
    step = page.locator(f"#step-{name}")
    if name == "request" and step.get_attribute("open") is None:
        step.locator("summary").click()
    step.evaluate("step => step.scrollIntoView({ behavior: 'instant' })")
    body = step.locator(".inner")
    expect(body.locator(":scope > :first-child")).to_be_visible()
    expect(page.locator(f"#step-{name} [aria-busy]")).to_have_count(0)
    return body


def test_a_dropped_photo_gets_its_label_and_a_click_shows_the_overlay(
    imagenet_client, open_page, golden, shoot_page
):
    page = open_page(imagenet_client)
    calls = []
    page.on("request", lambda r: calls.append(r.url) if MODEL_CALL.search(r.url) else None)
    drop(page, golden / "coffee.jpg")  # first request
    expect(first_label(page)).to_contain_text("espresso")
    assert answers(calls) == ["classify"]
    first_label(page).click()  # second request
    expect(page.locator("#why b")).to_have_text("espresso")
    assert answers(calls) == ["classify", "explain"]
    first_label(page).click()  # hidden and shown again without another request
    expect(page.locator("#why b")).to_have_count(0)
    first_label(page).click()
    expect(first_label(page)).to_have_attribute("aria-pressed", "true")
    assert answers(calls) == ["classify", "explain"]
    shoot_page(page, "overlay")


def test_the_photo_is_sent_as_its_unchanged_file(imagenet_client, open_page, golden, caplog):
    with caplog.at_level(logging.INFO, "hubel.request"):
        page = open_page(imagenet_client)
        choose(page, golden / "coffee.jpg")
        expect(first_label(page)).to_contain_text("espresso")
    received = [r.fields["bytes"] for r in caplog.records if "classify" in r.fields["path"]]
    assert received == [(golden / "coffee.jpg").stat().st_size]


# Drawn by hand on the photo's centre square: left, top, right, bottom, as shares of its side.
BOXES = {
    "camera.jpg": ("tripod", (0.40, 0.28, 0.85, 1.0)),
    "coffee.jpg": ("espresso", (0.17, 0.03, 0.81, 0.62)),
    "chelsea.jpg": ("Egyptian cat", (0.05, 0.12, 0.92, 1.0)),
}
WARM_INSIDE = """(heat, box) => {
  const { data, width, height } = heat.getContext("2d").getImageData(0, 0, 480, 480);
  const warmth = (at) => (data[at] - data[at + 2]) * data[at + 3];
  let peak = 0;
  for (let at = 0; at < data.length; at += 4) peak = Math.max(peak, warmth(at));
  let all = 0, inside = 0;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      if (warmth(4 * (y * width + x)) < peak / 2) continue;
      all += 1;
      const [left, top, right, bottom] = box.map((share) => share * 480);
      if (x >= left && x < right && y >= top && y < bottom) inside += 1;
    }
  return inside / all;
}"""


def test_the_warm_region_of_three_photos_lies_on_their_object(imagenet_client, open_page, golden):
    page = open_page(imagenet_client)
    for file, (label, box) in BOXES.items():
        choose(page, golden / file)
        expect(first_label(page)).to_contain_text(label)
        if file == next(iter(BOXES)):
            page.locator("#show-why").click()  # the switch stays on for the photos that follow
        expect(page.locator("#why b")).to_have_text(label)
        assert page.locator("#heat").evaluate(WARM_INSIDE, list(box)) > 0.9, file


def test_each_label_of_a_photo_of_two_objects_is_warm_on_its_side(
    imagenet_client, open_page, golden, tmp_path, shoot_page
):
    whole = Image.new("RGB", (480, 480))
    for place, name in enumerate(("chelsea", "coffee")):
        with Image.open(golden / f"{name}.jpg") as image:
            whole.paste(image.resize((480, 480)).crop((120, 0, 360, 480)), (240 * place, 0))
    whole.save(tmp_path / "two.png")
    page = open_page(imagenet_client)
    choose(page, tmp_path / "two.png")
    expect(first_label(page)).to_be_visible()
    page.locator(".other-label > summary").click()
    for label, side in (("tabby", (0, 0, 0.5, 1)), ("espresso", (0.5, 0, 1, 1))):
        page.locator("#other-label").fill(label)
        page.locator("#other button").click()
        expect(page.locator("#why b")).to_have_text(label)
        shoot_page(page, f"two-{label}")
        assert page.locator("#heat").evaluate(WARM_INSIDE, list(side)) > 0.8


def test_several_photos_appear_in_a_strip_with_one_request_each(textbook_client, open_page, save):
    page = open_page(textbook_client)
    calls = []
    page.on("request", lambda r: calls.append(r.url) if MODEL_CALL.search(r.url) else None)
    choose(page, save("red"), save("blue"))
    expect(first_label(page)).to_contain_text("red")
    expect(page.locator("#strip button").nth(1)).to_contain_text("blue")  # before a click on it
    page.locator("#strip button").nth(1).click()
    expect(first_label(page)).to_contain_text("blue")
    page.locator("#strip button").nth(0).click()
    expect(first_label(page)).to_contain_text("red")
    assert answers(calls) == ["classify", "classify"]


def test_a_pasted_photo_is_classified(textbook_client, open_page, save):
    page = open_page(textbook_client)
    page.evaluate(
        """(bytes) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "a.jpg", { type: "image/jpeg" }));
          dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer }));
        }""",
        list(save("green").read_bytes()),
    )
    expect(first_label(page)).to_contain_text("green")


def test_each_step_of_the_tour_has_its_picture(imagenet_client, open_page, golden, shoot_page):
    page = open_page(imagenet_client)
    calls = []
    page.on("request", lambda r: calls.append(r.url) if MODEL_CALL.search(r.url) else None)
    choose(page, golden / "chelsea.jpg")
    expect(first_label(page)).to_contain_text("Egyptian cat")
    pixels = open_step(page, "pixels")
    with Image.open(golden / "chelsea.jpg") as image:
        middle = image.convert("RGB").getpixel((225, 150))  # of 451 x 300
    numbers = [int(n) for n in re.findall(r"\d+", pixels.locator("#pixel-now").inner_text())]
    assert numbers[:2] == [240, 240]
    assert numbers[2:] == pytest.approx(middle, abs=12)
    planes = pixels.locator(".plane canvas")
    expect(planes).to_have_count(3)
    boxes = [plane.bounding_box() for plane in planes.all()]
    assert len({box["y"] for box in boxes}) == 1
    assert boxes[0]["x"] < boxes[1]["x"] < boxes[2]["x"]
    centres = page.locator(".numbers .centre").all_inner_texts()
    assert [int(text) for text in centres] == numbers[2:]
    convolution = open_step(page, "convolution")
    expect(page.locator("#step-convolution [data-own]")).to_contain_text(
        "32 maps of 120 \u00d7 120"
    )
    expect(convolution.locator(".cards button")).to_have_count(32)
    convolution.locator(".cards button").nth(3).click()
    expect(convolution.locator(".equation")).to_contain_text("Filter 3")
    convolution.locator(".own-filter > summary").click()
    expect(convolution.locator(".own-map figcaption")).to_contain_text("474 \u00d7 474 sums")
    nonlinearity = open_step(page, "nonlinearity")
    after = nonlinearity.locator("figcaption").last.inner_text()
    assert 0 < int(re.search(r"(\d+) % of the places became 0", after)[1]) < 100
    pooling = open_step(page, "pooling")
    stages = pooling.locator(".stages button")
    expect(stages).to_have_count(7)
    expect(stages.nth(5)).to_contain_text("8 \u00d7 8")
    expect(pooling.locator(".tiles canvas")).to_have_count(24)
    pooling.locator(".all-layers > summary").click()
    pooling.locator(".all-layers button", has_text="probabilities").click()
    expect(pooling.locator("h4")).to_contain_text("probabilities")
    expect(pooling.locator(".largest li").first).to_contain_text("Egyptian cat")
    probabilities = open_step(page, "probabilities")
    expect(probabilities.locator("tbody tr")).to_have_count(5)
    expect(probabilities.locator("tbody tr").first).to_contain_text("Egyptian cat")
    expect(probabilities.locator(".quiet")).to_contain_text("other 995 labels")
    request = open_step(page, "request")
    expect(request.locator(".snippet")).to_have_count(3)
    assert len(calls) == len(set(calls))  # nothing is computed twice
    page.locator("#photo").scroll_into_view_if_needed()
    shoot_page(page, "steps")


def test_the_copied_curl_returns_the_pages_prediction(textbook_client, open_page, save, tmp_path):
    page = open_page(textbook_client)
    choose(page, save("green", "it's green.jpg"))
    expect(first_label(page)).to_contain_text("green")
    snippets = open_step(page, "request").locator("pre")
    for text in snippets.all_inner_texts():
        assert "?model=textbook" in text
        assert "version" not in text
    text = snippets.first.inner_text()
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    done = subprocess.run(
        ["sh", "-c", text], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["predictions"][0]["label"] == "green"


def test_the_copied_python_runs(textbook_client, open_page, save, tmp_path):
    page = open_page(textbook_client)
    choose(page, save("blue"))
    expect(first_label(page)).to_contain_text("blue")
    text = open_step(page, "request").locator("pre").nth(1).inner_text()
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("blue ")


def test_a_textbook_network_works_on_the_page(textbook_client, open_page, save, shoot_page):
    page = open_page(textbook_client)
    choose(page, save("green"))
    expect(first_label(page)).to_contain_text("green")
    first_label(page).click()
    expect(page.locator("#why")).to_contain_text("covering these places costs green")
    filters = open_step(page, "convolution")
    expect(filters.locator(".cards button")).to_have_count(6)
    expect(filters.locator(".equation")).to_contain_text("5 \u00d7 5 \u00d7 3 weights")
    expect(filters.locator(".equation")).to_contain_text("28 \u00d7 28 sums")
    open_step(page, "nonlinearity")
    expect(page.locator("#step-nonlinearity [data-own]")).to_contain_text("ReLU")
    pooling = open_step(page, "pooling")
    expect(page.locator("#step-pooling [data-own]")).to_contain_text("keeps the largest number")
    expect(pooling.locator(".stages button")).to_have_count(6)
    expect(pooling.locator(".all-layers button")).to_have_count(8)
    shoot_page(page, "textbook")


def test_another_model_is_selected_and_its_report_opens(textbook_client, open_page, save):
    page = open_page(textbook_client)
    expect(page.locator("#report")).to_be_visible()
    choose(page, save("red"))
    expect(page.locator("#model")).to_have_value("textbook")
    expect(first_label(page)).to_contain_text("red")
    urls = []
    page.on("request", lambda r: urls.append(r.url) if "classify" in r.url else None)
    page.locator("#model").select_option("colours")
    page.wait_for_url("**/*")
    expect(page.locator("#report")).to_be_hidden()
    open_step(page, "request")
    expect(page.locator("#step-request pre").first).to_contain_text("model=colours")
    assert len(urls) == 1
    expect(open_step(page, "convolution")).to_contain_text("no convolution")
    page.locator("#model").select_option("textbook")
    page.locator("#report").click()
    expect(page.locator("h1")).to_have_text("It went well")


PROBLEMS = [
    ("not_an_image", b"no image at all", {}, "This file is no photo"),
    ("unsupported_format", b"8BPS\0\1" + bytes(200), {}, "This kind of image can't be read here"),
    ("broken_image", ..., {}, "This photo is damaged"),
    ("too_many_bytes", bytes(5000), {"max_image_bytes": 1000}, "This photo's file is too large"),
    ("too_many_pixels", ..., {"max_pixels": 1000}, "This photo has too many pixels"),
]


@pytest.mark.parametrize(
    ("code", "content", "settings", "title"), PROBLEMS, ids=[row[0] for row in PROBLEMS]
)
def test_an_unusable_photo_gets_an_error_with_advice(
    make_bundle, serve, open_page, photo, tmp_path, shoot_page, code, content, settings, title
):
    make_bundle()
    file = tmp_path / "photo.jpg"
    whole = photo("red")
    cut = whole[: len(whole) // 2] if code == "broken_image" else whole
    file.write_bytes(cut if content is ... else content)
    with serve(**settings) as client:
        page = open_page(client, may_log_errors=True)  # the browser logs every 4xx
        choose(page, file)
        problem = page.locator("#problem")
        expect(problem.locator("h2")).to_have_text(title)
        expect(problem.locator(":scope > p")).to_be_visible()
        expect(problem.locator("details p")).to_be_hidden()  # the service's own words
        expect(page.locator("#tour")).to_be_hidden()
        expect(page.locator("#again button")).to_have_count(0)  # a repeated request would fail too
        shoot_page(page, f"problem-{code}")


def test_a_busy_service_shows_when_to_try_again(make_bundle, serve, open_page, save, shoot_page):
    make_bundle()
    with serve() as client:
        page = open_page(client, may_log_errors=True)
        expect(page.locator("#model")).to_have_value("colours")
        engine = client.app.state.service.classifier.engine
        opened = threading.Event()
        began = threading.Semaphore(0)
        engine.submit(*[lambda turn: (began.release(), opened.wait(30))] * engine.threads)
        for _ in range(engine.threads):
            assert began.acquire(timeout=30)
        engine.expect(1e9)
        engine.submit(lambda turn: None)
        try:
            choose(page, save("red"))
            expect(page.locator("#problem h2")).to_have_text("Many photos are waiting just now")
            again = page.locator("#again button")
            expect(again).to_contain_text("Try again in")
            expect(again).to_be_disabled()
            shoot_page(page, "problem-queue-full")
        finally:
            opened.set()


def test_trying_again_after_the_wait_gets_the_prediction(textbook_client, open_page, save):
    page = open_page(textbook_client, may_log_errors=True)
    busy = [True]

    def refuse(route):
        if busy:
            busy.clear()
            route.fulfill(
                status=429,
                headers={"Retry-After": "1", "Content-Type": "application/problem+json"},
                body='{"code": "queue_full", "title": "Queue full", "detail": "Try later."}',
            )
        else:
            route.continue_()

    page.route("**/api/v1/classify**", refuse)
    choose(page, save("red"))
    again = page.locator("#again button")
    expect(again).to_be_disabled()
    expect(again).to_be_enabled()
    again.click()
    expect(first_label(page)).to_contain_text("red")
    expect(page.locator("#problem")).to_be_hidden()


def test_an_unreachable_service_is_shown_until_it_returns(
    textbook_client, open_page, save, shoot_page
):
    page = open_page(textbook_client, may_log_errors=True)
    expect(page.locator("#model")).to_have_value("textbook")
    page.route("**/api/v1/classify**", lambda route: route.abort("connectionrefused"))
    choose(page, save("red"))
    expect(page.locator("#problem h2")).to_have_text("The service doesn't answer")
    shoot_page(page, "problem-gone")
    page.unroute("**/api/v1/classify**")
    page.locator("#again button").click()
    expect(first_label(page)).to_contain_text("red")


def test_a_key_is_requested_and_used(make_bundle, textbook, serve, open_page, save, shoot_page):
    make_bundle(name="textbook", graph=textbook, report={"index.html": b"<h1>It went well</h1>"})
    with serve(api_key="hush") as client:
        page = open_page(client, may_log_errors=True)  # the browser logs the 401
        expect(page.locator("#key")).to_be_focused()
        shoot_page(page, "key")
        page.locator("#key").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key-told")).to_contain_text("This key isn't known")
        expect(page.locator("#key")).to_be_focused()
        expect(page.locator("#key")).to_have_value("")
        page.locator("#key").fill("hush")
        page.keyboard.press("Enter")
        expect(page.locator("#model")).to_have_value("textbook")
        expect(page.locator("#key-form")).to_be_hidden()
        choose(page, save("green"))
        expect(first_label(page)).to_contain_text("green")
        open_step(page, "convolution")
        with page.expect_download() as got:
            page.locator("#report").click()
        assert Path(got.value.path()).read_bytes() == b"<h1>It went well</h1>"
        page.reload()  # the tab stores the key
        expect(page.locator("#model")).to_have_value("textbook")


def test_the_page_works_with_the_keyboard_alone(textbook_client, open_page, save):
    page = open_page(textbook_client)
    # Registered early: Chromium learns of it later, and opens no file chooser without a handler.
    page.on("filechooser", lambda chooser: chooser.set_files([save("green"), save("red")]))
    expect(page.locator("#model")).to_have_value("textbook")

    def tab_to(selector):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        pytest.fail(f"{selector} can't be reached")

    tab_to("#choose")
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#show-why")).to_be_focused()
    page.keyboard.press("Space")
    expect(page.locator("#why b")).to_have_text("green")
    tab_to("#bars button")
    page.keyboard.press("Enter")
    expect(page.locator("#why b")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator("#why b")).to_have_text("green")
    tab_to(".stops a")
    page.keyboard.press("Enter")
    expect(page.locator("#step-pixels")).to_be_focused()
    expect(page.locator("#pixel-now")).to_contain_text("Row 240, column 240")
    tab_to(".planes")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    expect(page.locator("#pixel-now")).to_contain_text("Row 220, column 241")
    open_step(page, "convolution")
    tab_to(".cards button")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    tab_to(".own-filter > summary")
    page.keyboard.press("Enter")
    expect(page.locator(".own-map img")).to_be_visible()
    tab_to(".kernel button")
    before = page.evaluate("document.activeElement.dataset.value")
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.dataset.value") != before
    page.keyboard.press("ArrowDown")
    assert "Row 2, column 1" in page.evaluate("document.activeElement.ariaLabel")
    open_step(page, "pooling")
    expect(page.locator("#step-pooling .tiles canvas").first).to_be_visible()
    tab_to(".stages button")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#step-pooling h4")).to_contain_text("pool1")


@pytest.mark.parametrize(("size", "theme"), [("phone", "light"), ("desktop", "dark")])
def test_axe_reports_nothing_and_the_page_fits(
    imagenet_client, open_page, golden, shoot_page, theme, size
):
    options = {"viewport": SIZES[size], "color_scheme": theme}
    if size == "phone":
        options |= {"is_mobile": True, "has_touch": True}
    page = open_page(imagenet_client, **options)
    expect(page.locator("#model")).to_have_value("imagenet")
    shoot_page(page, f"{size}-{theme}-welcome")
    assert_accessible(page)
    expect(page.locator("#camera")).to_be_visible(visible=size == "phone")
    choose(page, golden / "chelsea.jpg", golden / "coffee.jpg")
    expect(first_label(page)).to_contain_text("Egyptian cat")
    first_label(page).click()
    expect(page.locator("#why b")).to_have_text("Egyptian cat")
    shoot_page(page, f"{size}-{theme}-response")
    for step in STEPS:
        open_step(page, step)
    for folded in ("#step-convolution .own-filter", "#step-pooling .all-layers"):
        page.locator(f"{folded} > summary").click()
    expect(page.locator(".own-map img")).to_be_visible()
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    shoot_page(page, f"{size}-{theme}-all", full_page=True)


def assert_accessible(page):
    violations = Axe().run(page).response["violations"]
    assert [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in violations] == []


@pytest.mark.parametrize("theme", THEMES)
def test_axe_reports_nothing_on_error_pages(make_bundle, serve, open_page, tmp_path, theme):
    make_bundle()
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"no image")
    with serve(api_key="hush") as client:
        page = open_page(client, may_log_errors=True, color_scheme=theme)
        expect(page.locator("#key")).to_be_visible()
        assert_accessible(page)
        page.locator("#key").fill("hush")
        page.keyboard.press("Enter")
        expect(page.locator("#model")).to_have_value("colours")
        choose(page, file)
        expect(page.locator("#problem")).to_be_visible()
        assert_accessible(page)


SHIFTS = """() => {
  window.shifts = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
}"""


def test_the_layout_does_not_shift_when_responses_arrive(imagenet_client, open_page, golden):
    page = open_page(imagenet_client)
    page.evaluate(SHIFTS)
    expect(page.locator("#model")).to_have_value("imagenet")
    choose(page, golden / "coffee.jpg")
    expect(page.locator("#looked")).to_be_visible()
    before = page.evaluate("shifts")
    expect(first_label(page)).to_contain_text("espresso")
    assert page.evaluate("shifts") - before < 0.02  # what a click opens may move the page
    assert before < 0.2  # the photo replaces the welcome once


def test_the_page_is_small_and_its_policy_is_strict(textbook_client):
    files = [WEB / "index.html", *(WEB / "page").iterdir(), *(WEB / "dress").iterdir()]
    loaded = [file for file in files if file.suffix not in {".LICENSE", ".md"}]
    assert sum(file.stat().st_size for file in loaded) < 195_000
    response = textbook_client.get("/")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", response.text)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", response.text)


def test_typefaces_are_bundled_with_their_licences(open_page, textbook_client):
    for font in (WEB / "dress").glob("*.woff2"):
        assert "SIL OPEN FONT LICENSE" in font.with_suffix(".LICENSE").read_text()
    page = open_page(textbook_client)
    page.wait_for_load_state("networkidle")
    page.evaluate("document.fonts.ready.then(() => true)")
    loaded = page.evaluate(
        "[...document.fonts].filter(font => font.status === 'loaded').map(font => font.family)"
    )
    assert {name.strip('"') for name in loaded} == {"Newsreader", "Hanken Grotesk"}


@pytest.fixture
def shoot_page(tmp_path):
    """Save a screenshot, for inspection by people."""

    def take(page, name, **options):
        page.screenshot(path=tmp_path / f"{name}.png", **options)
        assert Image.open(io.BytesIO((tmp_path / f"{name}.png").read_bytes())).size[0] > 0

    return take


def test_a_slow_photo_is_not_drawn_over_a_newer_one(textbook_client, open_page, save):
    page = open_page(textbook_client)
    page.evaluate("""() => {
      const decode = window.createImageBitmap;
      window.createImageBitmap = async (file) => {
        const image = await decode(file);
        if (file.name === "red.jpg") {
          await new Promise((done) => setTimeout(done, 1000));
          document.body.dataset.late = "yes";
        }
        return image;
      };
    }""")
    choose(page, save("red"))
    choose(page, save("green"))
    expect(first_label(page)).to_contain_text("green")
    expect(page.locator("body[data-late]")).to_have_count(1)
    page.wait_for_timeout(100)
    drawn = page.evaluate(
        "() => [...document.getElementById('photo').getContext('2d')"
        ".getImageData(240, 240, 1, 1).data]"
    )
    assert drawn[1] > drawn[0]


def test_the_strip_shows_the_selected_models_labels_with_a_broken_photo(
    textbook_client, open_page, save, tmp_path
):
    page = open_page(textbook_client, may_log_errors=True)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(save("blue").read_bytes()[:300])
    choose(page, save("red"), save("green"), broken)
    page.locator("#strip button").last.click()
    expect(page.locator("#problem")).to_be_visible()
    expect(page.locator("#strip span")).to_have_text(["red", "green", "not read"])
    page.locator("#model").select_option("colours")
    expect(page.locator("#problem")).to_be_visible()
    expect(page.locator("#strip span")).to_have_text(["red", "green", "not read"])
    assert (
        page.locator("#strip button").first.get_attribute("aria-label") == "Photo 1: red.jpg: red"
    )


def test_an_impossible_key_and_a_missing_file_get_errors(make_bundle, serve, open_page, save):
    make_bundle()
    with serve(api_key="secret") as client:
        page = open_page(client, may_log_errors=True)
        expect(page.locator("#key-form")).to_be_visible()
        page.locator("#key").fill("\u201csecret\u201d")
        page.locator("#key-form button").click()
        expect(page.locator("#key-told")).to_contain_text("plain letters")
        page.locator("#key").fill(" secret ")
        page.locator("#key-form button").click()
        expect(page.locator("#model")).to_have_value("colours")
        file = save("red")
        choose(page, file)
        expect(first_label(page)).to_contain_text("red")
        page.route("**/api/v1/explain**", lambda route: route.abort("failed"))
        page.evaluate(
            "() => { File.prototype.slice = () => ({ arrayBuffer: () => Promise.reject(1) }); }"
        )
        first_label(page).click()
        expect(page.locator("#problem h2")).to_have_text("This file can't be opened")
