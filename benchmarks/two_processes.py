"""Compare one process on all cores with one process pinned to each core.

    python -m benchmarks.two_processes --photos DIR [--rounds 6] [--seconds 2]

Both get 32 clients in all, in turns. A process per core has its own address here, so no time is
lost by sharing one. The figure is the requests per second of the processes together, divided by
those of the single process. Linux only.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from app.runtime.host import available_cores
from benchmarks.processor import describe
from benchmarks.serving import bodies
from benchmarks.serving.process import ServerProcess, free_port
from benchmarks.serving.servers import fp32_bundle, responds

CLIENTS = 32
PHOTO = (
    Path(__file__).resolve().parents[1] / "model" / "imagenet" / "golden" / "chelsea.jpg"
).read_bytes()


def start(models: Path | None, cores: str) -> tuple[ServerProcess, str]:
    """Start a server on `cores`, as taskset lists them; return it and its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/v1/classify"
    hubel = [sys.executable, "-c", "from app.cli import main; main()", "serve"]
    command = ["taskset", "-c", cores, *hubel, "--port", str(port)]
    command += ["--models", str(models)] if models else []
    environment = {"HUBEL_DRAIN_S": "0"}
    return ServerProcess(command, environment, partial(responds, url, PHOTO, form=False)), url


def load(urls: Sequence[str], folder: Path, seconds: float) -> float:
    """Load all servers at once; return their responses per second, together."""
    generators = []
    for url in urls:
        arguments = (url, folder, CLIENTS // len(urls), seconds, 0)
        command = [sys.executable, "-m", "benchmarks.serving.load", *map(str, arguments)]
        generators.append(subprocess.Popen(command, stdout=subprocess.PIPE))
    measured = [json.loads(generator.communicate()[0]) for generator in generators]
    return sum(len(one["latencies_ms"]) for one in measured) / seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    cores = range(available_cores())
    print(f"{describe()}\n\n| precision | median | least | most | PSS MB, one | PSS MB, all |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bodies.make(options.photos, folder)
        fp32_bundle(folder / "models" / "fp32")
        for precision, models in (("int8", None), ("fp32", folder / "models")):
            single = [start(models, ",".join(map(str, cores)))]
            pinned = [start(models, str(core)) for core in cores]
            ratios = []
            for number in range(options.rounds):
                order = (single, pinned) if number % 2 else (pinned, single)
                rates = {
                    len(servers): load([url for _, url in servers], folder / "480", options.seconds)
                    for servers in order
                }
                ratios.append(rates[len(pinned)] / rates[1])
            memory = [sum(server.pss_mb() for server, _ in some) for some in (single, pinned)]
            figures = (statistics.median(ratios), min(ratios), max(ratios))
            row = " | ".join([*(f"{f:.2f}" for f in figures), *(f"{mb:.0f}" for mb in memory)])
            print(f"| {precision} | {row} |", flush=True)
            for server, _ in (*single, *pinned):
                server.stop()


if __name__ == "__main__":
    main()
