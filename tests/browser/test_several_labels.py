"""The page with a multi-label model: all accepted labels in one sentence, or none."""

import pytest
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory, module_bundle_maker, module_serve):
    below = tmp_path_factory.mktemp("service")
    module_bundle_maker(below)(labels=("cat", "dog", "bird"), thresholds=(0.5,) * 3)
    with module_serve(below) as client:
        yield client


@pytest.fixture
def page(served, open_page):
    return open_page(served)


def test_the_verdict_names_every_accepted_label_or_none(page, tmp_path):
    both, none = tmp_path / "both.png", tmp_path / "none.png"
    Image.new("RGB", (64, 64), (230, 230, 20)).save(both)
    Image.new("RGB", (64, 64), (20, 20, 20)).save(none)
    page.locator("#files").set_input_files([both, none])
    expect(page.locator("#verdict")).to_have_text("It shows a cat, > 99 %, and a dog, > 99 %")
    expect(page.locator("#bars li")).to_have_count(3)
    expect(page.locator("#bars li.accepted .label")).to_have_text(["cat", "dog"])
    bird = page.locator("#bars li").last.locator("button")
    expect(bird).to_have_attribute("aria-label", "bird, 0.1 %, not accepted: show where")
    expect(page.locator("#strip li span").last).to_have_text("no label")
    page.locator("#strip button").last.click()
    expect(page.locator("#verdict")).to_have_text("It shows none of the labels")


def test_the_last_step_tells_of_the_sigmoid(page, tmp_path):
    both = tmp_path / "both.png"
    Image.new("RGB", (64, 64), (230, 230, 20)).save(both)
    page.locator("#files").set_input_files(both)
    page.locator("#step-probabilities").scroll_into_view_if_needed()
    expect(page.locator("[data-task=multi_label]")).to_be_visible()
    expect(page.locator("[data-task=single_label]")).to_be_hidden()
