"""Runs alone and side by side, through each kind of session: `python benchmarks/sessions.py`.

For one ONNX file: callers at once, images a second, median ms of a run, ms of CPU; medians over
interleaved rounds of a second. Spinning on between runs and one wide session for everything are
what was turned down; memory is what loading and running each adds to the process, in MB.
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
    """All cores, and threads that spin on when a run has ended."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    return onnxruntime.InferenceSession(path, options, providers=[ort.CPU])


KINDS: dict[str, Callable[[Path], tuple[onnxruntime.InferenceSession, ...]]] = {
    "narrow": lambda path: (ort.single_and_multi_threaded(path, available_cores())[0],),
    "wide": lambda path: (ort.single_and_multi_threaded(path, available_cores())[1],),
    "wide, spinning on": lambda path: (spinning(path),),
    "narrow and wide": lambda path: ort.single_and_multi_threaded(path, available_cores()),
    "the plain file twice": lambda path: (ort.single_threaded(path, ort.CPU), spinning(path)),
}


def run(session: onnxruntime.InferenceSession, callers: int) -> tuple[float, float, float]:
    """Images a second, median ms of a run, and ms of CPU for each."""
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
    """MB that this process has more once the sessions are loaded and have run. Linux only."""

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
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", default=ROOT / "model/imagenet/model.onnx")
    parser.add_argument("--memory-of", choices=KINDS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory_of:
        print(f"{added_mb(given.memory_of, given.file):.0f}")
        return
    opened = {kind: KINDS[kind](given.file)[0] for kind in list(KINDS)[:3]}
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
    for kind in ("narrow", *list(KINDS)[3:]):
        command = [sys.executable, __file__, str(given.file), "--memory-of", kind]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"| {kind} | {found.strip()} |")


if __name__ == "__main__":
    main()
