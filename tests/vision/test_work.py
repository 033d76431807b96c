"""The estimates of a header are not less than what decoding takes, and not absurdly more."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from app.vision import Limits, read_header
from benchmarks.hardening.images import pillow, png

FIXED_BYTES = 8_000_000
LIMITS = Limits(max_bytes=1 << 30, max_pixels=10**9)
CLEAR_REFS = Path("/proc/self/clear_refs")


@cache
def measured(*arguments: str) -> list[dict]:
    """Measure in a process of its own, where nothing else takes memory."""
    module = "benchmarks.hardening.decode_memory"
    command = [sys.executable, "-m", module, "--json", *arguments]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.skipif(not CLEAR_REFS.exists(), reason="needs Linux: the peak is reset for each file")
@pytest.mark.parametrize(
    ("pixels", "shapes"),
    [(2_200_000, ["square"]), (400_000, ["tall", "wide"])],
    ids=["resized to the canvas", "long rows or columns"],
)
def test_every_format_mode_and_shape_stays_within_its_estimate(pixels, shapes):
    options = [option for shape in shapes for option in ("--shape", shape)]
    rows = measured("--pixels", str(pixels), *options)
    assert len(rows) > 80 * len(shapes)
    assert [row["name"] for row in rows if row["error"]] == []
    under = [row for row in rows if row["peak_bytes"] > row["estimated_bytes"]]
    assert under == []
    over = [row for row in rows if row["estimated_bytes"] > 3 * (row["peak_bytes"] + FIXED_BYTES)]
    assert over == []


@pytest.mark.slow
@pytest.mark.skipif(not CLEAR_REFS.exists(), reason="needs Linux: the peak is reset for each file")
def test_the_cost_is_of_the_order_of_the_measured_cpu_time():
    rows = measured("--pixels", "2200000", "--shape", "square")
    wrong = [
        (row["name"], row["estimated_cost"], row["measured_cost"])
        for row in rows
        if not 1 / 8 < row["estimated_cost"] / row["measured_cost"] < 8
    ]
    assert wrong == []


def test_no_pixel_is_decoded_for_an_estimate(monkeypatch):
    from PIL import Image

    data = png((2000, 2000), "rgba", 8), pillow("WEBP", "RGBA", (500, 500))
    for name in ("new", "fill"):
        monkeypatch.setattr(Image.core, name, None)
    for each in data:
        assert read_header(each, LIMITS).work.memory_bytes > 0


def work(data: bytes):
    return read_header(data, LIMITS).work


def test_a_plain_photo_is_the_unit_of_cost():
    assert work(pillow("JPEG", "RGB", (480, 480), quality=85)).cost == pytest.approx(1, abs=0.2)


def test_a_scaled_jpeg_costs_less_than_a_png_of_its_size():
    size = (2000, 2000)
    assert work(pillow("JPEG", "RGB", size)).cost < work(png(size, "rgb", 8)).cost / 3


@pytest.mark.parametrize("separate", [False, True], ids=["progressive", "separate scans"])
def test_a_jpeg_in_several_scans_needs_memory_for_all_coefficients(separate):
    from benchmarks.hardening.images import jpeg_in_separate_scans

    size = (2400, 2400)
    plain = work(pillow("JPEG", "RGB", size, subsampling=0))
    data = (
        jpeg_in_separate_scans(size)
        if separate
        else pillow("JPEG", "RGB", size, subsampling=0, progressive=True)
    )
    assert work(data).memory_bytes >= 2 * 3 * 2400 * 2400 > plain.memory_bytes
    assert work(data).cost > 2 * plain.cost


def test_every_scan_of_a_jpeg_costs():
    data = pillow("JPEG", "RGB", (800, 800), progressive=True)
    scan = data.index(b"\xff\xda")
    repeated = data[:scan] + data[scan : data.index(b"\xff\xc4", scan)] * 50 + data[scan:]
    assert work(repeated).cost > 3 * work(data).cost
