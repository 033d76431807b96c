"""What a person does on /teach and /review, in headless Chromium."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

_TRAINING_MS = 600_000
_ACTION_MS = 60_000
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
_SWITCHES = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)


@contextmanager
def chromium(film: Path) -> Iterator[Browser]:
    """Start Chromium with a film in front of its webcam."""
    expect.set_options(timeout=_ACTION_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[*_SWITCHES, f"--use-file-for-fake-video-capture={film}"],
        )
        yield browser
        browser.close()


class Teacher:
    """The page Teach, as a person uses it.

    Args:
        browser: Chromium.
        url: the service's.
        key: its admin key.
        shots: folder for screenshots.
    """

    def __init__(self, browser: Browser, url: str, key: str, shots: Path) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(_ACTION_MS)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self._shots = shots
        self._url = url
        self.page.goto(f"{url}/teach#key={key}")
        expect(self.page.locator(".class-card")).to_have_count(2)

    def card(self, at: int) -> Locator:
        """Return the card of a class."""
        return self.page.locator(".class-card").nth(at)

    def name(self, at: int, label: str) -> None:
        """Name a class."""
        field = self.card(at).locator(".class-name")
        field.fill(label)
        field.press("Enter")

    def hold_webcam(self, at: int, photos: int) -> None:
        """Hold the button until a class has at least `photos` photos."""
        card = self.card(at)
        card.get_by_role("button", name="Webcam for").click()
        hold = card.locator(".hold")
        expect(hold).to_be_enabled()
        hold.hover()
        self.page.mouse.down()
        while self.count(at) < photos:
            self.page.wait_for_timeout(200)
        self.page.mouse.up()
        card.get_by_role("button", name="Close the webcam").click()
        expect(card.locator(".count")).not_to_contain_text("adding")

    def choose(self, at: int, files: Sequence[Path]) -> None:
        """Choose files for a class."""
        card = self.card(at)
        card.locator("input[type=file]").set_input_files(files)
        expect(card.locator(".count")).to_have_text(f"{len(files)} photos")

    def count(self, at: int) -> int:
        """Return the photos of a class that the service has."""
        text = self.card(at).locator(".count").inner_text().split(" ")[0]
        return int(text) if text.isdigit() else 0

    def train(self, *, captures: bool = False) -> str:
        """Train, and return what the page says of the result.

        Args:
            captures: whether it also learns from kept photos; then the version waits to be used.
        """
        page = self.page
        if captures:
            page.locator("#train summary").first.click()
            page.locator("#captures").check()
            page.locator("#promote").select_option("offer")
        page.locator("#train-now").click()
        expect(page.locator("#job")).to_be_visible()
        self.shoot("training")
        expect(page.locator("#result")).to_be_visible(timeout=_TRAINING_MS)
        return page.locator("#result").inner_text()

    def look(self, photo: Path) -> str:
        """Try a photo, and return what the page says of it."""
        page = self.page
        page.locator("#try-file").set_input_files(photo)
        expect(page.locator("#try-bars li").first).to_be_visible()
        return page.locator("#try-verdict").inner_text()

    def press(self, name: str) -> None:
        """Press a button of "Use it", if it is there."""
        button = self.page.locator("#use-buttons").get_by_role("button", name=name)
        if button.count():
            button.first.click()
            expect(button).to_have_count(0)

    def shoot(self, name: str) -> None:
        """Save the page as a picture in both themes and sizes."""
        shoot(self.page, self._shots, name)


def shoot(page: Page, folder: Path, name: str) -> None:
    """Save a page as pictures, in both themes and sizes."""
    before = page.viewport_size
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.wait_for_timeout(100)
            page.screenshot(path=folder / f"{name}-{size}-{theme}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    if before:
        page.set_viewport_size(before)
