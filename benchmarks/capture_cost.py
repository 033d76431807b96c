"""Measure what kept photos cost: throughput of a service that keeps none, or all.

    python -m benchmarks.capture_cost --photos DIR [--rounds 10] [--seconds 3] [--clients 32]

Three servers run, and in each round each is loaded once, in turns:

    off         keeps nothing: no HUBEL_DATA_DIR
    nothing     remembers the last photos for feedback, and stores none
    everything  stores every photo

A photo is stored once, so the clients send many: variants of those in DIR, each cut by another
pixel. Printed, in Markdown: the median throughput, and the mean ratio to `off` of the same round
with its 95 % interval; then the photos that `everything` has stored and dropped.
"""

import argparse
import re
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count, islice
from pathlib import Path

from PIL import Image

from benchmarks.observability import difference, measure
from benchmarks.processor import describe
from benchmarks.serving.process import ServerProcess, free_port
from benchmarks.serving.servers import responds

OFF = "off"
VARIANTS: Mapping[str, str | None] = {OFF: None, "nothing": "", "everything": "sample:1"}
"""HUBEL_CAPTURE of each server; None: it has no data folder."""
_SIDE = 480
_QUALITY = 85


def write_photos(source: Path, folder: Path, number: int) -> None:
    """Write different photos of 480 by 480 pixels, cut from those in `source`."""
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
    variants = ((cut, file) for cut in count() for file in files)
    for index, (cut, file) in enumerate(islice(variants, number)):
        with Image.open(file) as photo:
            image = (
                photo.convert("RGB").resize((_SIDE + cut, _SIDE)).crop((cut, 0, _SIDE + cut, _SIDE))
            )
        image.save(folder / f"{index:05d}.jpg", quality=_QUALITY)


def start_server(variant: str, data_dir: Path, photo: bytes) -> tuple[ServerProcess, str]:
    """Start a server; return it with its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/v1/classify"
    environment = {"HUBEL_QUEUE_WAIT_S": "30", "HUBEL_DRAIN_S": "0"}
    capture = VARIANTS[variant]
    if capture is not None:
        environment |= {"HUBEL_DATA_DIR": str(data_dir), "HUBEL_CAPTURE": capture}
    command = [sys.executable, "-c", "from app.cli import main; main()", "serve"]
    command += ["--port", str(port)]
    return ServerProcess(command, environment, partial(responds, url, photo, form=False)), url


def table(measured: Mapping[str, Sequence[float]]) -> str:
    """Return the table, in Markdown."""
    lines = ["| server | requests/s | ratio to off |", "|---|---|---|"]
    for variant, values in measured.items():
        mean, half = difference(values, measured[OFF])
        ratio = "" if variant == OFF else f"{1 + mean:.3f} ± {half:.3f}"
        lines.append(f"| {variant} | {statistics.median(values):.1f} | {ratio} |")
    return "\n".join(lines)


def counts(url: str) -> Sequence[str]:
    """Return the counts of photos that a server has kept and dropped."""
    with urllib.request.urlopen(url.replace("/api/v1/classify", "/metrics")) as response:
        text = response.read().decode()
    found: list[str] = re.findall(r"^hubel_captures_[^\n]*", text, re.MULTILINE)
    return [line for line in found if "_created" not in line]


def run(source: Path, photos: int, rounds: int, seconds: float, clients: int) -> str:
    """Measure all servers in turns, and return what is printed."""
    measured: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    servers: dict[str, tuple[ServerProcess, str]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "photos")
        folder.mkdir()
        write_photos(source, folder, photos)
        first = next(folder.iterdir()).read_bytes()
        try:
            for variant in VARIANTS:
                data_dir = Path(temporary, variant)
                data_dir.mkdir()
                servers[variant] = start_server(variant, data_dir, first)
            for server, url in servers.values():  # not counted: caches are cold
                measure(server, url, folder, clients, min(seconds, 1))
            for number in range(rounds):
                for variant in VARIANTS if number % 2 else reversed(VARIANTS):
                    throughput, _ = measure(*servers[variant], folder, clients, seconds)
                    measured[variant].append(throughput)
            stored = counts(servers["everything"][1])
        finally:
            for server, _ in servers.values():
                server.stop()
    return "\n".join([table(measured), "", *stored])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--different", type=int, default=2000, help="how many are sent in turn")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--clients", type=int, default=32)
    options = parser.parse_args(arguments)
    print(describe(), end="\n\n", flush=True)
    given = options.different, options.rounds, options.seconds, options.clients
    print(run(options.photos, *given))


if __name__ == "__main__":
    main()
