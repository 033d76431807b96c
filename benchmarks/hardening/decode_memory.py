"""Compare the estimated memory of decoding with the measured peak, for every format and mode.

    python -m benchmarks.hardening.decode_memory [--pixels 4000000] [--json] [FILE…]

Each file is decoded and resized in this process. Linux keeps the peak of resident memory, which is
reset before each file (/proc/self/clear_refs). Estimate and peak are without the file itself.

Generated files are encoded in a process of their own: the encoders of AVIF and HEIC leave holes in
the heap, which raise the peaks of decoding after them. A service encodes nothing. Cases come in
random order, so that each format is decoded after all others.
"""

import gc
import json
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from threadpoolctl import threadpool_limits

from app import vision
from app.errors import HubelError
from app.runtime.host import release_memory, return_large_blocks
from app.vision.fused_resize.filter_weights import Resample
from benchmarks.hardening.images import cases, pillow
from benchmarks.hardening.peak_memory import peak_bytes, reset_peak, resident_bytes

LIMITS = vision.Limits(max_bytes=1 << 32, max_pixels=10**9, max_side=10**9)


@dataclass(frozen=True)
class _Spec:
    height: int = 240
    width: int = 240
    crop: float = 1.0
    resample: Resample = "bicubic"


_SPEC = _Spec()


@dataclass(frozen=True)
class Measured:
    """One file's estimate and what decoding and resizing it took."""

    name: str
    pixels: int
    estimated_bytes: int
    peak_bytes: int
    estimated_cost: float
    measured_cost: float
    error: str = ""


def measure(
    name: str, data: bytes, plain_s: float, view: vision.View = vision.CENTRE_SQUARE
) -> Measured:
    """Decode and resize one file, and return its peak memory and its CPU time.

    Args:
        name: of the case.
        data: the file.
        plain_s: CPU seconds of a plain JPEG of 480 x 480, which are cost 1.
        view: the part of the image that is read.
    """
    gc.collect()
    release_memory()
    before = resident_bytes()
    reset_peak()
    try:
        opened = vision.read_header(data, LIMITS, (view,))
        picture = opened.decode()
        pixels = picture.width * picture.height
        vision.resize(picture, _SPEC)
    except HubelError as err:
        return Measured(name, 0, 0, peak_bytes() - before, 0.0, 0.0, str(err))
    del picture
    peak = peak_bytes() - before
    work = opened.work
    cost = (
        min(_seconds(data, view) for _ in range(3)) / plain_s
    )  # the resize's weights are cached now
    return Measured(name, pixels, work.memory_bytes, peak, work.cost, cost)


def measure_all(
    named: Iterator[tuple[str, Callable[[], bytes]]], view: vision.View = vision.CENTRE_SQUARE
) -> Iterator[Measured]:
    """Measure every case, after warming up the decoders."""
    return_large_blocks()
    threadpool_limits(1, user_api="blas")
    plain = pillow("JPEG", "RGB", (480, 480), quality=85)
    plain_s = min(_seconds(plain) for _ in range(20))
    for name, make in named:
        yield measure(name, make(), plain_s, view)


def encoded_elsewhere(
    named: Iterator[tuple[str, Callable[[], bytes]]], seed: int
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield the cases in random order, with makers that run in another process."""
    shuffled = list(named)
    random.Random(seed).shuffle(shuffled)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as encoder:
        for name, make in shuffled:
            yield name, encoder.submit(make).result


def _seconds(data: bytes, view: vision.View = vision.CENTRE_SQUARE) -> float:
    began = time.process_time()  # libde265 has a thread of its own
    vision.resize(vision.read_header(data, LIMITS, (view,)).decode(), _SPEC)
    return time.process_time() - began


@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--pixels", default=4_000_000, show_default=True, help="Pixels of each image.")
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    default=("square", "tall", "wide"),
    type=click.Choice(["square", "tall", "wide"]),
    help="Shapes of the images.  [default: all]",
)
@click.option(
    "--fit",
    type=click.Choice(["cover", "stretch", "contain"]),
    default="cover",
    show_default=True,
    help="How an image becomes the canvas.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the order of the cases.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def main(
    files: tuple[Path, ...],
    pixels: int,
    shapes: tuple[str, ...],
    fit: vision.Fit,
    seed: int,
    as_json: bool,
) -> None:
    """Print estimate, peak and cost of FILES, or of generated files."""
    generated = encoded_elsewhere(cases(pixels, shapes=shapes), seed)
    named = ((file.name, file.read_bytes) for file in files) if files else generated
    for row in measure_all(iter(named), vision.View(fit)):
        if as_json:
            print(json.dumps(asdict(row)))
        else:
            print(_line(row))


def _line(row: Measured) -> str:
    return (
        f"{row.name:34} estimate {row.estimated_bytes / 1e6:7.1f} MB  peak "
        f"{row.peak_bytes / 1e6:7.1f} MB  {row.peak_bytes / max(row.pixels, 1):5.1f} B/pixel  "
        f"cost {row.estimated_cost:7.1f}  measured {row.measured_cost:7.1f}  {row.error}"
    )


if __name__ == "__main__":
    main()
