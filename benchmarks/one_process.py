"""Simulate one process on many cores: at how many does the interpreter lock bound it?

    python -m benchmarks.one_process [--run-ms 3.7] [--seconds 3]

The server is real, with one engine thread more than the cores that are simulated. What releases the
lock is replaced: a photo's decode, resize and run sleep for RUN-MS, so two cores carry the threads
of many. What holds the lock is kept: HTTP, a body of 64 kB, the queue, Python's part of decoding
and the copy of a resized image, 240x240, out of Pillow. A core is ideal if it finishes
1000 / RUN-MS photos a second; the share is what all simulated cores reach of that. Linux only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import uvicorn
from PIL import Image

from app import main, vision
from app.runtime.loaded_model import Model
from app.settings import Settings
from benchmarks.processor import describe
from benchmarks.serving.process import ServerProcess, free_port
from benchmarks.serving.servers import responds

CORES = (1, 2, 4, 6, 8, 12, 16, 32)
BODY_BYTES = 64_000


def photo() -> bytes:
    """Return a JPEG of 8x8 pixels and of the size of a photo: its comments fill it."""
    buffer = BytesIO()
    Image.new("RGB", (8, 8), "grey").save(buffer, "JPEG")
    small = buffer.getvalue()
    comment = b"\xff\xfe" + BODY_BYTES.to_bytes(2, "big") + bytes(BODY_BYTES - 2)
    return small[:2] + comment + small[2:]


def serve(port: int, cores: int, run_ms: float) -> None:
    """Serve with work that sleeps, after the model is loaded and verified with real work."""
    main.available_cores = lambda: cores
    app = main.create_app(Settings(deadline_s=60))
    app.state.service.registry.load_all()
    resized = Image.new("RGB", (240, 240))
    probabilities = np.full(1000, 0.001, np.float32)

    def run(model: Model, image: object, *, all_cores: bool = False) -> object:
        time.sleep(run_ms / 1e3)
        return probabilities, None, None

    vision.resize = lambda source, spec: np.asarray(resized)
    Model.run = run
    uvicorn.run(app, port=port, log_level="critical", access_log=False)


def measure(folder: Path, cores: int, run_ms: float, seconds: float) -> tuple[float, float]:
    """Return the requests per second and the CPU time of a request in ms."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/v1/classify"
    serving = ["--serve", str(port), "--cores", str(cores), "--run-ms", str(run_ms)]
    command = [sys.executable, "-m", "benchmarks.one_process", *serving]
    server = ServerProcess(command, {}, partial(responds, url, photo(), form=False))
    before = server.cpu_s()
    load = [url, folder, 4 * cores + 4, seconds, 0]
    command = [sys.executable, "-m", "benchmarks.serving.load", *map(str, load)]
    done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    count = len(done["latencies_ms"])
    cpu_s = server.cpu_s() - before
    server.stop()
    if set(done["statuses"]) != {"200"}:
        raise SystemExit(f"not every response is 200: {done['statuses']}")
    return count / seconds, cpu_s / (done["before"] + count) * 1e3


def main_() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run-ms", type=float, default=3.7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--cores", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.cores, options.run_ms)
        return
    print(f"{describe()}\n\n| cores | req/s | share of ideal | CPU ms |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "photo.jpg").write_bytes(photo())
        for cores in CORES:
            rate, cpu_ms = measure(folder, cores, options.run_ms, options.seconds)
            share = rate / (cores * 1e3 / options.run_ms)
            print(f"| {cores} | {rate:.0f} | {share:.2f} | {cpu_ms:.2f} |", flush=True)


if __name__ == "__main__":
    main_()
