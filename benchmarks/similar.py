"""Compare the time of /api/v1/similar with that of /api/v1/classify, in turns, on one service.

    python -m benchmarks.similar PHOTOS --embeddings cifar10.npy --requests 500

PHOTOS is a folder of photos, which are sent; the embeddings are those that
benchmarks.vector_index has made with the built-in model, and become an index first. Each photo is
sent to both routes, one after the other, which of them first by turns.
"""

import argparse
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray

from app.bulk.indexing import indexed_model
from app.runtime.registry_and_device import create_registry
from app.vector_index import Staging, write_index

ROUTES = ("classify", "similar")


def make_index(vectors: NDArray[np.float32], output: Path) -> None:
    """Write an index of embeddings under invented paths."""
    registry = create_registry(None, "cpu", None, cache=output.parent).registry
    registry.load_all()
    model = registry.resolve("imagenet")
    with Staging(output, vectors.shape[1], {}) as staging:
        for number, vector in enumerate(vectors):
            staging.append(f"cifar10/{number:05}.jpg", f"{number:064x}", 1000, vector, None)
        write_index(output, staging, indexed_model(model), (), 0, add=False)


def serve(index: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a service, and return it with its address once it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = "from app.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "serve", "--index", str(index), "--port", str(port)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HUBEL_QUEUE_WAIT_S": "60", "HUBEL_DEADLINE_S": "60"},
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            if httpx.get(f"{address}/readyz").is_success:
                return process, address
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    process.kill()
    raise SystemExit("the service did not start")


def measure(
    address: str, photos: list[bytes], requests: int, clients: int
) -> dict[str, NDArray[np.float64]]:
    """Return the times of each route's requests, of some clients at once."""
    order = itertools.cycle([ROUTES, ROUTES[::-1]])

    def client(number: int) -> dict[str, list[float]]:
        times: dict[str, list[float]] = {route: [] for route in ROUTES}
        with httpx.Client(base_url=address, timeout=120) as http:
            for index in range(requests // clients):
                photo = photos[(number + index) % len(photos)]
                for route in next(order):
                    began = time.perf_counter()
                    http.post(f"/api/v1/{route}", content=photo).raise_for_status()
                    times[route].append(time.perf_counter() - began)
        return times

    with ThreadPoolExecutor(clients) as threads:
        found = list(threads.map(client, range(clients)))
    return {route: np.concatenate([times[route] for times in found]) for route in ROUTES}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--embeddings", type=Path, required=True)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4])
    options = parser.parse_args()
    photos = [path.read_bytes() for path in sorted(options.photos.rglob("*.jpg"))[:50]]
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        make_index(np.load(options.embeddings)[: options.count], index)
        process, address = serve(index)
        try:
            measure(address, photos, 40, 2)
            print("| clients | route | requests | p50, ms | p99, ms |")
            print("|---|---|---|---|---|")
            for clients in options.clients:
                times = measure(address, photos, options.requests, clients)
                figures = {r: np.percentile(times[r], [50, 99]) * 1e3 for r in ROUTES}
                for route in ROUTES:
                    p50, p99 = figures[route]
                    print(f"| {clients} | {route} | {len(times[route])} | {p50:.1f} | {p99:.1f} |")
                p50, p99 = figures["similar"] / figures["classify"]
                print(f"| {clients} | ratio | | {p50:.2f} | {p99:.2f} |", flush=True)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
