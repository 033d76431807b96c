"""Compare the kinds of sessions, for one run at a time and for concurrent runs.

    python benchmarks/sessions.py

The first table has, for one ONNX file: concurrent callers, images per second, median ms per image,
and CPU ms per image; medians over interleaved rounds of a second. The second has the memory in MB
that loading and running the sessions adds to the process. Busy-waiting threads between runs, and
one multi-threaded session for all runs, were rejected (docs/experiments.md, 2026-11-24).
"""

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import app  # noqa: F401 - switches off the telemetry of ONNX Runtime, so it comes first

# isort: split
import numpy as np
import onnxruntime

from app.runtime import host, ort
from app.runtime.host import available_cores

ROOT = Path(__file__).resolve().parents[1]
IMAGE = np.random.default_rng(0).integers(0, 256, (1, 240, 240, 3), np.uint8)
ROUNDS = 5


def spinning(path: Path) -> onnxruntime.InferenceSession:
    """Open a session with a thread per core; its threads go on busy-waiting after a run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    return onnxruntime.InferenceSession(path, options, providers=[ort.CPU])


KINDS: dict[str, Callable[[Path], tuple[onnxruntime.InferenceSession, ...]]] = {
    "single-threaded": lambda path: (ort.single_and_multi_threaded(path, available_cores())[0],),
    "multi-threaded": lambda path: (ort.single_and_multi_threaded(path, available_cores())[1],),
    "multi-threaded, spinning between runs": lambda path: (spinning(path),),
    "single- and multi-threaded": lambda path: ort.single_and_multi_threaded(
        path, available_cores()
    ),
    "two sessions of the file, weights not shared": lambda path: (
        ort.single_threaded(path, ort.CPU),
        spinning(path),
    ),
}


def run(session: onnxruntime.InferenceSession, callers: int) -> tuple[float, float, float]:
    """Return images per second, median ms of a run, and ms of CPU per run."""
    times: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()

    def call() -> None:
        while (start := time.perf_counter()) < began + 1:
            session.run(["probabilities"], {"image": IMAGE})
            times.append(time.perf_counter() - start)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed, used = time.perf_counter() - began, time.process_time() - cpu
    return len(times) / elapsed, statistics.median(times) * 1e3, used / len(times) * 1e3


def added_mb(kind: str, path: Path) -> float:
    """Return the MB that loading and running the sessions adds to this process. Linux only."""

    def pss_mb() -> float:
        host.release_memory()
        text = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
        return int(text.split("Pss:")[1].split()[0]) * 1024 / 1e6

    before = pss_mb()
    for session in (opened := KINDS[kind](path)):
        run(session, 2)
    after = pss_mb()
    del opened
    return after - before


def main() -> None:
    """Measure and print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", default=ROOT / "model/imagenet/model.onnx")
    parser.add_argument("--memory-of", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        print(f"{added_mb(arguments.memory_of, arguments.file):.0f}")
        return
    opened = {kind: KINDS[kind](arguments.file)[0] for kind in list(KINDS)[:3]}
    points = [(kind, callers) for kind in opened for callers in (1, available_cores())]
    figures: dict[tuple[str, int], list[tuple[float, float, float]]] = {p: [] for p in points}
    for _ in range(ROUNDS):
        for kind, callers in points:
            figures[kind, callers].append(run(opened[kind], callers))
    print("| session | callers | images/s | ms | CPU ms |\n|---|---|---|---|---|")
    for (kind, callers), rows in figures.items():
        per_s, ms, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {kind} | {callers} | {per_s:.1f} | {ms:.1f} | {cpu:.1f} |")
    print("\n| sessions | MB |\n|---|---|")
    for kind in ("single-threaded", *list(KINDS)[3:]):
        command = [sys.executable, __file__, str(arguments.file), "--memory-of", kind]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"| {kind} | {output.strip()} |")


if __name__ == "__main__":
    main()
