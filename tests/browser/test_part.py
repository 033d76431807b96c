"""A part of the photo on the page, and overlays on models that read the whole photo."""

import io
import re

import numpy as np
import pillow_heif
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture
def wide(tmp_path):
    """A photo of 300 x 100: green in its centre square, red on both sides."""
    pixels = np.full((100, 300, 3), (230, 20, 20), np.uint8)
    pixels[:, 100:200] = (20, 230, 20)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    (tmp_path / "wide.png").write_bytes(file.getvalue())
    return tmp_path / "wide.png"


@pytest.fixture(scope="module")
def served(tmp_path_factory, module_bundle_maker, module_serve):
    below = tmp_path_factory.mktemp("service")
    make_bundle = module_bundle_maker(below)
    make_bundle(name="cover")
    make_bundle(name="contain", fit="contain")
    make_bundle(name="stretch", fit="stretch", size=(24, 48))
    with module_serve(below, default_model="cover") as client:
        yield client


def drag(page, start, end):
    """Draw a box over the photo, between two places in shares of it."""
    box = page.locator("#frame").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*[sum(pair) / 2 for pair in zip(*places, strict=True)])
    page.mouse.move(*places[1])
    page.mouse.up()


def crops_of(page):
    """Return a list that gets the crop of each classification from now on."""
    crops = []

    def add(request):
        if "/api/v1/classify" in request.url:
            found = re.search(r"crop=([^&]*)", request.url)
            crops.append(found and found[1].replace("%2C", ","))

    page.on("request", add)
    return crops


def test_a_dragged_box_is_classified_in_place_of_the_whole(served, open_page, wide):
    page = open_page(served)
    crops, label = crops_of(page), page.locator("#bars button").first
    page.locator("#files").set_input_files(wide)
    expect(label).to_contain_text("green")
    expect(page.locator("#part")).to_be_hidden()
    drag(page, (0.02, 0.1), (0.32, 0.9))
    expect(label).to_contain_text("red")
    x, y, width, height = map(int, crops[-1].split(","))
    assert (abs(x - 6), abs(y - 10), abs(width - 90), abs(height - 80)) <= (2, 2, 3, 3)
    expect(page.locator("#caption")).to_contain_text("outlined square of the part")
    page.locator("#show-why").click()
    expect(page.locator("#why b")).to_have_text("red")
    frame, heat = (page.locator(name).bounding_box() for name in ("#frame", "#heat"))
    assert heat["x"] < frame["x"] + frame["width"] / 3
    assert heat["width"] == pytest.approx(frame["width"] * height / 300, abs=2)
    assert Axe().run(page).response["violations"] == []
    page.locator("#choose-part").click()  # the whole again
    expect(label).to_contain_text("green")
    expect(page.locator("#part")).to_be_hidden()
    assert crops[-1] == crops[0] is None or crops.count(None) == 1


def test_a_click_on_the_photo_is_no_box(served, open_page, wide):
    page = open_page(served)
    crops = crops_of(page)
    page.locator("#files").set_input_files(wide)
    expect(page.locator("#bars button").first).to_contain_text("green")
    page.locator("#frame").click()
    page.wait_for_timeout(100)
    assert len(crops) == 1
    expect(page.locator("#part")).to_be_hidden()


def test_the_box_is_moved_and_resized_with_the_keyboard(served, open_page, wide):
    page = open_page(served)
    label = page.locator("#bars button").first
    page.locator("#files").set_input_files(wide)
    expect(label).to_contain_text("green")
    page.locator("#choose-part").click()
    expect(page.locator("#part")).to_be_focused()
    expect(page.locator("#part")).to_have_attribute(
        "aria-label", re.compile("150 . 50 pixels at 75, 25")
    )
    with page.expect_request(lambda request: "crop=0%2C25%2C90%2C50" in request.url):
        for _ in range(20):
            page.keyboard.press("ArrowLeft")
        for _ in range(10):
            page.keyboard.press("Shift+ArrowLeft")
    expect(label).to_contain_text("red")
    page.keyboard.press("Escape")
    expect(label).to_contain_text("green")


def test_a_finger_scrolls_until_a_part_is_looked_at(served, open_page, wide):
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    page = open_page(served, **phone)
    page.locator("#files").set_input_files(wide)
    expect(page.locator("#bars button").first).to_contain_text("green")
    touch = "getComputedStyle(document.querySelector('#frame')).touchAction"
    assert page.evaluate(touch) == "auto"
    page.locator("#choose-part").tap()
    expect(page.locator("#part")).to_be_visible()
    assert page.evaluate(touch) == "none"
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize(("model", "above"), [("stretch", 0), ("contain", 1)])
def test_the_overlay_lies_on_the_whole_photo(served, open_page, wide, model, above):
    page = open_page(served)
    expect(page.locator("#model")).to_have_value("cover")
    page.locator("#model").select_option(model)
    page.locator("#files").set_input_files(wide)
    expect(page.locator("#bars button").first).to_be_visible()
    page.locator("#show-why").click()
    expect(page.locator("#caption")).to_contain_text("reads all of it")
    expect(page.locator("#why b")).to_have_count(1)
    expect(page.locator("#square")).to_be_hidden()
    frame, heat = (page.locator(name).bounding_box() for name in ("#frame", "#heat"))
    assert heat["x"] == pytest.approx(frame["x"], abs=1)
    assert heat["width"] == pytest.approx(frame["width"], abs=1)
    assert heat["y"] == pytest.approx(frame["y"] - above * frame["height"], abs=1)
    assert heat["height"] == pytest.approx((1 + 2 * above) * frame["height"], abs=2)


@pytest.mark.parametrize("format_name", ["TIFF", "HEIC"])
@pytest.mark.parametrize("model", ["cover", "stretch"])
def test_a_photo_that_the_browser_cannot_draw_is_shown_from_the_canvas(
    served, open_page, wide, model, format_name
):
    """It is put together from crops of the shape of the network's input: three, or two."""
    file = wide.with_suffix(f".{format_name.lower()}")
    image = Image.open(wide)
    (pillow_heif.from_pillow(image) if format_name == "HEIC" else image).save(file)
    page = open_page(served)
    page.locator("#model").select_option(model)
    page.locator("#files").set_input_files([file, wide])
    expect(page.locator("#caption")).to_contain_text(f"{format_name}, 300")
    expect(page.locator("#photo")).to_have_js_property("height", 320)
    colours = page.evaluate(
        """() => [0.1, 0.3, 0.5, 0.7, 0.9].map((x) => {
          const canvas = document.getElementById("photo");
          const [column, row] = [x * canvas.width, 0.5 * canvas.height].map(Math.round);
          return [...canvas.getContext("2d").getImageData(column, row, 1, 1).data].slice(0, 2);
        })"""
    )
    for colour, expected in zip(colours, ["red", "red", "green", "red", "red"], strict=True):
        assert np.argmax(colour) == ["red", "green"].index(expected)
    expect(page.locator("#strip img.broken")).to_have_count(0)
