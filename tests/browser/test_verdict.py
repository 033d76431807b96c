"""The first impression of the page: sample photos, the verdict as a sentence, the whole photo."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from app import errors

pytestmark = pytest.mark.browser

WEB = Path(__file__).parents[2] / "app/web"


@pytest.fixture
def colours_page(client, open_page):
    """The page of a service with the tiny model of colours."""
    return open_page(client)


def _choose(page, *files):
    page.locator("#files").set_input_files(files)


def _answer(page, decision, *predictions, **fields):
    """Let the service's responses say this, in place of its own decision and predictions."""

    def change(route):
        response = route.fetch()
        body = response.json() | {"decision": decision} | fields
        body["predictions"] = [
            {"label": label, "index": index, "probability": probability}
            for index, (label, probability) in enumerate(predictions)
        ]
        route.fulfill(response=response, body=json.dumps(body))

    page.route("**/api/v1/classify**", change)


def test_one_click_on_a_sample_photo_shows_everything(imagenet_client, open_page):
    page = open_page(imagenet_client)
    samples = page.locator("#samples button")
    expect(samples).to_have_count(4)
    page.wait_for_function(
        "[...document.querySelectorAll('#samples button img')]"
        ".every(image => image.complete && image.naturalWidth > 0)"
    )
    samples.first.click()
    expect(page.locator("#verdict")).to_have_text(re.compile(r"^Probably an Egyptian cat, \d\d %$"))
    expect(page.locator("#why b")).to_have_text("Egyptian cat")
    expect(page.locator("#show-why")).to_have_attribute("aria-checked", "true")
    for step in ("pixels", "convolution", "nonlinearity", "pooling", "probabilities"):
        page.locator(f"#step-{step}").evaluate("step => step.scrollIntoView()")
        expect(page.locator(f"#step-{step} .inner > :first-child")).to_be_visible()


@pytest.mark.parametrize("name", ["camera.jpg", "chelsea.jpg", "coffee.jpg", "rocket.jpg"])
def test_the_samples_are_the_golden_photos_and_their_origin_is_stated(imagenet, name):
    assert (WEB / "samples" / name).read_bytes() == (imagenet / "golden" / name).read_bytes()
    assert name in (WEB / "samples/README.md").read_text()


VERDICTS = [
    ("accepted", [("cat", 0.97), ("dog", 0.03)], "Very probably a cat, 97 %"),
    ("accepted", [("Egyptian cat", 0.7), ("dog", 0.3)], "Probably an Egyptian cat, 70 %"),
    ("accepted", [("cat", 1.0)], "Very probably a cat, 100 %"),
    ("accepted", [("cat", 0.9991)], "Very probably a cat, > 99 %"),
    (None, [("espresso", 0.63), ("cup", 0.3)], "Probably an espresso, 63 %"),
    (None, [("ox", 0.3), ("ram", 0.2)], "Either an ox, 30 %, or a ram, 20 %"),
    ("unsure", [("tabby", 0.45), ("owl", 0.3)], "Either a tabby, 45 %, or an owl, 30 %"),
    ("unsure", [("tabby", 0.6), ("owl", 0.05)], "Perhaps a tabby, 60 %"),
    ("unsure", [("sunglasses", 0.5), ("ripe", 0.4)], "Either sunglasses, 50 %, or ripe, 40 %"),
    ("unknown", [("cat", 0.9)], "This doesn't resemble anything the model was trained on"),
    ("accepted", [], "No label"),
]


@pytest.mark.parametrize(
    ("decision", "predictions", "sentence"), VERDICTS, ids=[row[2] for row in VERDICTS]
)
def test_the_verdict_is_a_sentence(colours_page, save_photo, decision, predictions, sentence):
    _answer(colours_page, decision, *predictions)
    _choose(colours_page, save_photo("red"))
    expect(colours_page.locator("#verdict")).to_have_text(sentence)


def test_an_unknown_photo_gets_grey_bars_and_no_label_in_the_strip(colours_page, save_photo):
    page = colours_page
    _answer(page, "unknown", ("red", 0.9), familiarity=0.31, unknown_threshold=0.42)
    _choose(page, save_photo("red"), save_photo("blue"))
    expect(page.locator("#because")).to_contain_text("0.31; a known photo has at least 0.42")
    expect(page.locator("#strip span")).to_have_text(["unknown", "unknown"])
    fill = page.locator("#bars .fill")
    grey = fill.evaluate("fill => getComputedStyle(fill).backgroundColor")
    page.unroute("**/api/v1/classify**")
    _choose(page, save_photo("green"))
    expect(page.locator("#verdict")).to_have_text("Very probably green, > 99 %")
    assert fill.first.evaluate("fill => getComputedStyle(fill).backgroundColor") != grey
    red, green, blue = map(int, re.findall(r"\d+", grey))
    assert max(red, green, blue) - min(red, green, blue) < 24


ARTICLES = {
    "an": "Egyptian cat|espresso|umbrella|hourglass|heirloom tomato|X-ray film|MRI scan|iPod"
    "|ear of corn|unimproved road|otter|L-shaped desk|orange",
    "a": "cat|golden_retriever|unicycle|uniform|European fire salamander|T-shirt|CD player|bus"
    "|UFO sighting|platypus|school bus|moped|wine glass|traffic light|green apple|crane (machine)"
    "|jack-o'-lantern|one-piece"
    "|ukulele|user|triceratops|hen-of-the-woods|virus|potter's wheel|seabed|wine bottle",
    "": "sunglasses|cats|Golden Retriever|Anna|COVID-19|broken|ripe|not ripe|damaged|healthy|42"
    "|class_1|water|grass|no label|Katze!|猫|red wine|binoculars|a cat|people|without mask"
    "|toilet tissue|pneumonia|glass|red|broccoli|CAT|SUV|dangerous",
}


@pytest.mark.parametrize(
    ("article", "label"),
    [(article, label) for article, labels in ARTICLES.items() for label in labels.split("|")],
)
def test_a_label_gets_the_article_that_english_gives_it(article_of, article, label):
    assert article_of(label) == f"{article} {label}".strip()


@pytest.fixture(scope="module")
def article_of(browser):
    """The page's function that puts the article before a label."""
    page = browser.new_page()
    page.route(
        "http://page/**",
        lambda route: route.fulfill(
            content_type="text/javascript" if route.request.url.endswith("js") else "text/html",
            body=(WEB / "page/article.js").read_text() if route.request.url.endswith("js") else "",
        ),
    )
    page.goto("http://page/")
    yield lambda label: page.evaluate(
        "async (label) => (await import('/article.js')).named(label)", label
    )
    page.close()


@pytest.mark.parametrize("size", [(451, 300), (300, 600), (1200, 100)])
def test_the_whole_photo_is_shown_with_the_used_square_outlined(
    colours_page, tmp_path, photo, size
):
    file = tmp_path / "wide.jpg"
    file.write_bytes(photo("red", size))
    _choose(colours_page, file)
    square = colours_page.locator("#square")
    expect(square).to_be_visible()
    width, height = size
    box, whole = square.bounding_box(), colours_page.locator("#photo").bounding_box()
    assert whole["width"] / whole["height"] == pytest.approx(width / height, rel=0.03)
    assert box["width"] == pytest.approx(box["height"], rel=0.03)
    assert box["width"] == pytest.approx(min(whole["width"], whole["height"]), rel=0.03)
    for side, length in (("x", "width"), ("y", "height")):
        middle = whole[side] + whole[length] / 2
        assert box[side] + box[length] / 2 == pytest.approx(middle, abs=2)
    expect(colours_page.locator("#caption")).to_contain_text(f"{width} \u00d7 {height}")


def test_a_photo_turned_by_exif_is_shown_upright(colours_page, tmp_path):
    image = Image.new("RGB", (300, 200), "red")
    exif = image.getexif()
    exif[274] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    _choose(colours_page, tmp_path / "turned.jpg")
    expect(colours_page.locator("#square")).to_be_visible()
    whole = colours_page.locator("#photo").bounding_box()
    assert whole["width"] / whole["height"] == pytest.approx(2 / 3, rel=0.03)


def test_no_square_is_outlined_where_all_of_the_photo_is_read(colours_page, save_photo):
    _choose(colours_page, save_photo("red"))
    expect(colours_page.locator("#caption")).to_contain_text("reads all of it")
    expect(colours_page.locator("#square")).to_be_hidden()


def test_the_switch_counts_before_the_answer_is_there(colours_page, save_photo):
    page, held, is_free = colours_page, [], False

    def hold(route):
        if is_free:
            route.continue_()
        else:
            held.append(route)

    page.route("**/api/v1/classify**", hold)
    with page.expect_request("**/api/v1/classify**"):
        _choose(page, save_photo("red"))
    switch = page.get_by_role("switch", name="Show why")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    is_free = True
    for route in held:
        route.continue_()
    expect(page.locator("#why b")).to_have_text("red")
    expect(switch).to_have_attribute("aria-checked", "true")


def test_the_switch_shows_why_for_this_photo_and_the_next(colours_page, save_photo):
    page = colours_page
    _choose(page, save_photo("red"))
    switch = page.get_by_role("switch", name="Show why")
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.click()
    expect(page.locator("#why b")).to_have_text("red")
    expect(switch).to_have_attribute("aria-checked", "true")
    _choose(page, save_photo("blue"))
    expect(page.locator("#why b")).to_have_text("blue")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    expect(page.locator("#why")).to_be_empty()
    _choose(page, save_photo("green"))
    expect(page.locator("#verdict")).to_contain_text("green")
    expect(page.locator("#why")).to_be_empty()


@pytest.fixture
def save_photo(tmp_path, photo):
    def write(colour):
        file = tmp_path / f"{colour}.jpg"
        file.write_bytes(photo(colour))
        return file

    return write


def _codes(error):
    kinds = [kind for kind in error.__subclasses__() if kind.__module__ == errors.__name__]
    return {error.code, *(code for kind in kinds for code in _codes(kind))}


def test_each_error_of_the_service_has_a_text_for_people():
    texts = (WEB / "page/problem_texts.js").read_text()
    missing = {code for code in _codes(errors.HubelError) if f"\n  {code}: [" not in texts}
    assert missing == {"error"}  # the tree's root, which is never raised
