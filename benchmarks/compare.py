"""Compare two checkouts of Hubel, in turns: did a change make it faster or slower?

    python benchmarks/compare.py OTHER --photos DIR [--rounds 6] [--seconds 2] [--precision int8]

OTHER is another working tree of this repository, for example one made by `git worktree add`. Both
trees run in this environment. Each round loads both servers at every point, one right after the
other, and begins with the other tree than the round before. A figure is the ratio of this tree to
OTHER: the median over the rounds, and the middle half of them. Over 1 is more requests per second,
more CPU time, or a longer start. Linux only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processor import describe
from benchmarks.serving import bodies
from benchmarks.serving.process import ServerProcess, free_port
from benchmarks.serving.servers import fp32_bundle, responds

ROOT = Path(__file__).resolve().parents[1]
PHOTO = (ROOT / "model" / "imagenet" / "golden" / "chelsea.jpg").read_bytes()
POINTS = (("480", 1), ("480", 8), ("480", 32), ("web", 32), ("12mp", 8))
SERVE = "from app.cli import main; main()"


def start(tree: Path, models: Path | None) -> tuple[ServerProcess, str, float]:
    """Start a tree's server; return it, its URL, and the seconds to the first right response."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/v1/classify"
    command = [sys.executable, "-c", SERVE, "serve", "--port", str(port)]
    if models is not None:
        command += ["--models", str(models)]
    environment = {
        "PYTHONPATH": str(tree),
        "PYTHONSAFEPATH": "1",  # else the current folder's `app` would serve for both trees
        "HUBEL_DRAIN_S": "0",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    began = time.perf_counter()
    process = ServerProcess(command, environment, lambda: responds(url, PHOTO, form=False))
    return process, url, time.perf_counter() - began


def load(process: ServerProcess, url: str, folder: Path, clients: int, seconds: float) -> Sequence:
    """Load a server; return its requests per second and CPU seconds per request."""
    before = process.cpu_s()
    arguments = (url, folder, clients, seconds, 0)
    command = [sys.executable, "-m", "benchmarks.serving.load", *map(str, arguments)]
    done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    count = len(done["latencies_ms"])
    return count / seconds, (process.cpu_s() - before) / (done["before"] + count + clients)


def show(ratios: dict[str, list[float]]) -> None:
    """Print the ratios of all rounds."""
    print("| point | median | middle half |\n|---|---|---|")
    for point, values in ratios.items():
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        print(f"| {point} | {median:.3f} | {low:.2f} to {high:.2f} |")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--precision", choices=["int8", "fp32"], help="default: both")
    options = parser.parse_args()
    trees = (ROOT, options.other.resolve())
    ratios: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bodies.make(options.photos, folder)
        fp32_bundle(folder / "models" / "fp32")
        for precision, models in (("int8", None), ("fp32", folder / "models")):
            if options.precision not in (None, precision):
                continue
            for tree in trees:  # compiles modules
                start(tree, models)[0].stop()
            for number in range(options.rounds):
                order = trees if number % 2 else trees[::-1]
                servers = {tree: start(tree, models) for tree in order}
                ratios[f"{precision}, start"].append(servers[ROOT][2] / servers[trees[1]][2])
                for kind, clients in POINTS:
                    measured = {
                        tree: load(*servers[tree][:2], folder / kind, clients, options.seconds)
                        for tree in order
                    }
                    name = f"{precision}, {kind}, {clients}"
                    for figure, (ours, theirs) in zip(
                        ("req/s", "CPU"),
                        zip(*(measured[tree] for tree in trees), strict=True),
                        strict=True,
                    ):
                        ratios[f"{name}: {figure}"].append(ours / theirs)
                for process, *_ in servers.values():
                    process.stop()
                print(f"{precision}: round {number + 1} of {options.rounds}", file=sys.stderr)
    print(f"{describe()}\n")
    show(ratios)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
