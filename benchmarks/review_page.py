"""Measure the review page in Chromium with many kept photos: scrolling, jumping, labelling.

    python -m benchmarks.review_page --photos DIR [--captures 10000] [--seconds 5] [--keep FOLDER]

A store is filled with variants of the photos in DIR, a service is started, and the page is used by
keys and wheel. Printed, in Markdown: the long tasks (over 50 ms) of each step, the longest of them,
the frames per second, and the time until the page shows the step's result. `--keep` leaves the
filled store in a folder, for looking at the page by hand.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.captures import NewCapture, Prediction, Store, StoreLimits
from benchmarks.processor import describe
from benchmarks.serving.process import ServerProcess, free_port

KEY = "benchmark"
_LABELS = ("cat", "dog", "bird", "horse", "ship", "frog")
_DECISIONS = ("unsure", "unsure", "unknown", "accepted")
_SIDE, _FEATURES, _BATCH, _DAYS = 480, 64, 250, 36_500
_WATCH = """
window.measured = { longTasks: [], frames: 0 };
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.measured.longTasks.push(task.duration);
}).observe({ type: "longtask", buffered: true });
const frame = () => { window.measured.frames += 1; requestAnimationFrame(frame); };
requestAnimationFrame(frame);
"""


def fill(data_dir: Path, photos: Path, count: int) -> None:
    """Keep `count` photos: variants of those in a folder, with results drawn by chance."""
    draw, features = random.Random(0), np.random.default_rng(0)
    files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
    small = [_small(path) for path in islice(files, 400)]
    scenes = features.standard_normal((len(small), _FEATURES)).astype(np.float32)
    store = Store(data_dir)
    limits = StoreLimits(1 << 40, 1 << 40, _DAYS)
    now_ms = int(time.time() * 1e3)
    for start in range(0, count, _BATCH):
        batch = []
        for number in range(start, min(count, start + _BATCH)):
            scene = number % len(small)
            labels = draw.sample(_LABELS, 3)
            first = draw.uniform(0.2, 0.99)
            batch.append(
                NewCapture(
                    # bytes after a JPEG's end change its name, and not its pixels
                    data=small[scene] + number.to_bytes(4),
                    format="jpeg",
                    width=_SIDE,
                    height=_SIDE,
                    request_id=f"{number:032x}",
                    index=0,
                    model="pets",
                    version=1,
                    decision=draw.choice(_DECISIONS),
                    predictions=(
                        Prediction(labels[0], first),
                        *(Prediction(each, (1 - first) / 2) for each in labels[1:]),
                    ),
                    reason="unsure",
                    captured_ms=now_ms - number * 1000,
                    features=scenes[scene],
                )
            )
        store.add(batch, limits)


def _small(path: Path) -> bytes:
    with Image.open(path) as photo:
        photo.draft("RGB", (_SIDE, _SIDE))
        image = photo.convert("RGB")
    image.thumbnail((_SIDE, _SIDE))
    file = BytesIO()
    image.save(file, "jpeg", quality=85)
    return file.getvalue()


def start_server(data_dir: Path) -> tuple[ServerProcess, str]:
    """Start a service with the store; return it with the page's URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/review"
    environment = {"HUBEL_DATA_DIR": str(data_dir), "HUBEL_ADMIN_KEY": KEY, "HUBEL_DRAIN_S": "0"}
    command = [sys.executable, "-c", "from app.cli import main; main()", "serve"]
    return ServerProcess([*command, "--port", str(port)], environment, lambda: _is_up(url)), url


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


def open_page(stack: ExitStack, url: str) -> Any:
    """Open the page in Chromium with the key, and watch its long tasks and frames."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    playwright = stack.enter_context(sync_playwright())
    browser = playwright.chromium.launch(
        executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
    )
    stack.callback(browser.close)
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(120_000)
    page.add_init_script(f"sessionStorage.setItem('hubel-key', '{KEY}');{_WATCH}")
    page.goto(url)
    page.wait_for_selector(".tile img[src]")
    return page


def scroll(page: Any, seconds: float) -> None:
    """Turn the wheel as fast as a hand does."""
    page.mouse.move(700, 450)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        page.mouse.wheel(0, 900)
        page.wait_for_timeout(16)


def jump(page: Any, seconds: float) -> None:
    """Go to the end and back by keys, and wait for the photos each time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for key in ("Control+End", "Control+Home"):
            page.keyboard.press(key)
            page.wait_for_selector(".tile:focus img[src]")


def label(page: Any, seconds: float) -> None:
    """Label one photo after the other by digits."""
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until:
        page.keyboard.press(str(1 + number % len(_LABELS)))
        page.wait_for_timeout(30)
        number += 1


def label_hundreds(page: Any, seconds: float) -> None:
    """Select some hundred photos by a range, label them, and take it back."""
    page.keyboard.press("Control+Home")
    for _ in range(10):
        page.keyboard.press("Shift+PageDown")
    page.keyboard.press("1")
    page.locator("#status", has_text="photos: ").wait_for()
    page.keyboard.press("z")
    page.locator("#status", has_text="Taken back").wait_for()


STEPS: Mapping[str, Callable[[Any, float], None]] = {
    "scroll by the wheel": scroll,
    "jump to the end and back": jump,
    "label one by one": label,
    "label some hundred, and undo": label_hundreds,
}


def measure(page: Any, seconds: float) -> list[tuple[str, int, float, float, float]]:
    """Return for each step: long tasks, the longest in ms, frames per second, seconds."""
    page.locator(".tile[tabindex='0']").focus()
    rows = []
    for name, step in STEPS.items():
        page.evaluate("window.measured = { longTasks: [], frames: 0 }")
        began = time.monotonic()
        step(page, seconds)
        took = time.monotonic() - began
        page.wait_for_timeout(200)
        found = page.evaluate("window.measured")
        tasks = found["longTasks"]
        rows.append((name, len(tasks), max(tasks, default=0.0), found["frames"] / took, took))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--captures", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--keep", type=Path, help="a folder for the store, kept and used again")
    options = parser.parse_args(arguments)
    print(describe(), end="\n\n", flush=True)
    with ExitStack() as stack:
        data_dir = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data_dir.mkdir(exist_ok=True)
        if not (data_dir / "captures").exists():
            fill(data_dir, options.photos, options.captures)
        server, url = start_server(data_dir)
        stack.callback(server.stop)
        page = open_page(stack, url)
        rows = measure(page, options.seconds)
    print("| step | long tasks | longest, ms | frames/s | seconds |\n|---|---|---|---|---|")
    for name, tasks, longest, frames, took in rows:
        print(f"| {name} | {tasks} | {longest:.0f} | {frames:.0f} | {took:.1f} |")


if __name__ == "__main__":
    main()
