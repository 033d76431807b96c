"""Compare training in one process with training in several, by accuracy and time.

    python -m benchmarks.training_processes DATA [--recipe scratch] [--processes 2] [--seeds 4]
        [--options "--network fast --epochs 6"]

DATA is a folder for `hubel train`. Each seed trains once in one process and once in several, in
turns. Printed, in Markdown: the mean accuracy on test of both and their mean difference, with its
95 % interval over the seeds; then the mean time.
"""

import argparse
import json
import math
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processor import describe


def train(data: Path, output: Path, options: Sequence[str]) -> tuple[float, float]:
    """Train once; return the accuracy on test in per cent, and the seconds of an epoch."""
    command = [sys.executable, "-m", "hubel", "train", data, "--output", output, *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    manifest = json.loads((output / "bundle.json").read_text(encoding="utf-8"))
    epochs = [int(each) for each in re.findall(r"^epoch .*, (\d+) s, ", done.stdout, re.M)]
    return 100 * manifest["metrics"]["fp32"]["top1"], statistics.mean(epochs)


def main() -> None:
    """Train with each seed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="scratch", choices=["scratch", "finetune"])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--options", default="", help="further options of hubel train")
    arguments = parser.parse_args()
    counts = (1, arguments.processes)
    measured: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(arguments.seeds):
            for count in counts:
                options = [*shlex.split(arguments.options), "--recipe", arguments.recipe]
                options += ["--seed", str(seed), "--processes", str(count)]
                output = Path(temporary) / f"{seed}-{count}"
                measured[count].append(train(arguments.data, output, options))
                print(seed, count, measured[count][-1], file=sys.stderr)
    print(f"{describe()}\n\n| processes | top-1, % | s an epoch |\n|---|---|---|")
    for count in counts:
        accuracy, seconds = zip(*measured[count], strict=True)
        spread = statistics.stdev(accuracy)
        print(f"| {count} | {statistics.mean(accuracy):.2f}, of seeds ± {spread:.2f} | ", end="")
        print(f"{statistics.mean(seconds):.1f} |")
    pairs = zip(measured[counts[1]], measured[1], strict=True)
    differences = [other - one for (other, _), (one, _) in pairs]
    half = 1.96 * statistics.stdev(differences) / math.sqrt(len(differences))
    print(f"\ndifference: {statistics.mean(differences):+.2f} ± {half:.2f} points")


if __name__ == "__main__":
    main()
