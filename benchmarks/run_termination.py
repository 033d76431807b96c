"""Measure what it costs, and saves, to end a run of ONNX Runtime whose result is too late.

    python -m benchmarks.run_termination [--bundle model/imagenet] [--runs 400]

    runs without RunOptions | runs with new RunOptions each, in turns -> cost of each run
    a run that is ended at a random moment                            -> delay, time saved

`RunOptions.terminate` is looked at before each node of the graph. The engine already ends a late
request before each of its stages, so the run that has begun is all there is to save.
"""

import argparse
import random
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

from app import bundle as bundles  # `app` switches off the telemetry of ONNX Runtime

# isort: split
import numpy as np
import onnxruntime

from app.runtime import ort
from benchmarks.processor import describe


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _both_ms(times_s: list[float]) -> str:
    return f"{min(times_s) * 1e3:.2f} and {statistics.median(times_s) * 1e3:.2f} ms"


def overhead(session: ort.OrtSession, feeds: dict[str, object], runs: int) -> None:
    """Print the time of runs without and with options of their own, in turns."""
    names = ["probabilities"]
    plain, optioned = [], []
    for _ in range(runs):
        plain.append(_seconds(lambda: session.run(names, feeds)))
        optioned.append(_seconds(lambda: session.run(names, feeds, onnxruntime.RunOptions())))
    made_us = min(_seconds(onnxruntime.RunOptions) for _ in range(1000)) * 1e6
    print(
        f"  fastest and median run: {_both_ms(plain)}; with options: {_both_ms(optioned)}; making "
        f"them: {made_us:.1f} us"
    )


def termination(session: ort.OrtSession, feeds: dict[str, object], runs: int) -> None:
    """Print how soon runs end that are told so at a random moment, and what is saved of them."""
    whole_s = statistics.median(
        _seconds(lambda: session.run(["probabilities"], feeds)) for _ in range(20)
    )
    rng = random.Random(0)
    delays_s, saved = [], []
    for _ in range(runs):
        options = onnxruntime.RunOptions()
        told_at = [0.0]

        def tell(options: onnxruntime.RunOptions = options, told_at: list[float] = told_at) -> None:
            told_at[0] = time.perf_counter()
            options.terminate = True

        timer = threading.Timer(rng.random() * whole_s, tell)
        began = time.perf_counter()
        timer.start()
        try:
            session.run(["probabilities"], feeds, options)
        except Exception:  # ONNX Runtime's exceptions have no common base of their own
            ended = time.perf_counter()
            delays_s.append(ended - told_at[0])
            saved.append(1 - (ended - began) / whole_s)
        timer.join()
    print(
        f"  told at a random moment: {len(delays_s)} of {runs} runs ended early, "
        f"{statistics.median(delays_s or [0]) * 1e3:.2f} ms after it; mean share saved of all "
        f"{sum(max(0, share) for share in saved) / runs:.0%}"
    )


def main() -> None:
    """Print the figures of each precision of a bundle, for one photo and for a batch of 16."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=Path("model/imagenet"))
    parser.add_argument("--runs", type=int, default=400)
    options = parser.parse_args()
    bundle = bundles.load(options.bundle)
    size = bundle.manifest.input.size
    print(describe())
    for precision in bundle.manifest.precisions:
        session = ort.single_threaded(bundle.model_path(precision), ort.CPU)
        for images in (1, 16):
            print(f"{precision}, {images} at once:")
            feeds = {"image": np.full((images, size, size, 3), 127, np.uint8)}
            runs = max(3, options.runs // images)
            overhead(session, feeds, runs)
            termination(session, feeds, runs)


if __name__ == "__main__":
    main()
