"""Hostile images of three clients beside one client's normal photos.

    python -m benchmarks.hardening.lanes HOSTILE [--photos DIR] [--seconds 5] [--tree DIR]

HOSTILE is a folder of images that are expensive to decode (files ending in .gz are unpacked). For
each of them, three closed-loop clients post it while another client posts a 480 x 480 photo; the
photo's latencies are compared with those of the same client alone, in the same run. Linux only.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from app.runtime.host import available_cores
from benchmarks.hardening.open_loop import percentile
from benchmarks.hardening.overload import start
from benchmarks.processor import describe
from benchmarks.serving import bodies

ROOT = Path(__file__).resolve().parents[2]
_ATTACKERS = 3


def _load(url: str, folder: Path, clients: int, seconds: float) -> "subprocess.Popen[bytes]":
    arguments = (f"{url}/api/v1/classify", folder, clients, seconds, 0)
    command = [sys.executable, "-m", "benchmarks.serving.load", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def _result(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    output, _ = process.communicate()
    result: dict[str, Any] = json.loads(output)
    return result


def unpack(file: Path, folder: Path) -> Path:
    """Write a hostile file into a folder of its own below `folder`, unpacked; return that."""
    below = folder / file.name
    below.mkdir(parents=True)
    data = file.read_bytes()
    if file.suffix == ".gz":
        data = gzip.decompress(data)
    (below / file.name.removesuffix(".gz")).write_bytes(data)
    return below


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hostile", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="names of files; default: all images")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--tree", type=Path, default=ROOT)
    options = parser.parse_args()
    kinds = (".bmp", ".gif", ".png", ".webp", ".jpg", ".gz")
    files = [f for f in sorted(options.hostile.iterdir()) if f.suffix in kinds]
    if options.only:
        files = [file for file in files if file.name in options.only]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bodies.make(options.photos, folder, ["480"])
        photos = folder / "480"
        process, url = start(options.tree.resolve(), None, next(photos.iterdir()).read_bytes())
        try:
            _result(_load(url, photos, 1, 1))
            for file in files:
                alone = _result(_load(url, photos, 1, options.seconds))["latencies_ms"]
                attack = _load(url, unpack(file, folder), _ATTACKERS, options.seconds + 1)
                time.sleep(1)
                beside = _result(_load(url, photos, 1, options.seconds))
                attacked = _result(attack)
                latencies = beside["latencies_ms"]
                row = {
                    "file": file.name,
                    "alone p50": percentile(alone, 50),
                    "alone p99": percentile(alone, 99),
                    "p50": percentile(latencies, 50),
                    "p99": percentile(latencies, 99),
                    "p99 ratio": percentile(latencies, 99) / percentile(alone, 99),
                    "statuses": beside["statuses"],
                    "attackers": attacked["statuses"],
                    "attackers p50": percentile(attacked["latencies_ms"], 50),
                }
                print(json.dumps(row), file=sys.stderr)
                rows.append(row)
        finally:
            process.stop()
    print(f"{describe()}; {available_cores()} cores\n")
    names = list(rows[0])
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(_text(row[name]) for name in names) + " |")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{count} of {status}" for status, count in value.items())
    return str(value)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
