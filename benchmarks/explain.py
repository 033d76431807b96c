"""A benchmark of inspection, compared with classification: `python benchmarks/explain.py`.

The script starts `hubel serve` with the default model and posts one golden photo to each route on
one connection. The order differs in each round, since a request profits from the caches of the
previous one. It prints medians in milliseconds, their ratio to a classification of the same rounds,
and the size of the response. Before that it measures the first explanation of a process, which
reads the graph, and its memory.
"""

import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx
from start import PHOTO, free_port, pss_mb

ROUNDS = 80
WARM = 10
ROUTES = {
    "classify": ("classify", {}, "application/json"),
    "explain": ("explain", {}, "application/json"),
    "explain, PNG": ("explain", {}, "image/png"),
    "embed": ("embed", {}, "application/json"),
    "activations (stem)": ("activations", {}, "application/json"),
    "activations (stem), PNG": ("activations", {}, "image/png"),
    "activations (blocks.14), 24": (
        "activations",
        {"layer": "blocks.14", "top": 24},
        "application/json",
    ),
    "activations (canvas)": ("activations", {"layer": "canvas"}, "application/json"),
    "a 3x3 filter": (
        "activations",
        {"kernel": "[[-1,0,1],[-2,0,2],[-1,0,1]]"},
        "application/json",
    ),
}


def post(client: httpx.Client, route: str) -> tuple[float, int]:
    """Return the seconds of one request, and the bytes of its response."""
    path, params, accept = ROUTES[route]
    began = time.perf_counter()
    response = client.post(
        path, params=params, content=PHOTO.read_bytes(), headers={"Accept": accept}
    )
    seconds = time.perf_counter() - began
    response.raise_for_status()
    return seconds, len(response.content)


def wait_for(client: httpx.Client) -> None:
    """Wait until the service responds."""
    while True:
        try:
            post(client, "classify")
            return
        except httpx.ConnectError:
            time.sleep(0.01)


def main() -> None:
    """Print the figures."""
    port = free_port()
    command = [Path(sys.executable).with_name("hubel"), "serve", "--port", str(port)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1/", timeout=30) as client:
            wait_for(client)
            before = pss_mb(server.pid)
            first, _ = post(client, "explain")
            print(f"first explanation {first * 1e3:.0f} ms")
            print(f"memory (PSS) before {before:.0f} MB, after {pss_mb(server.pid):.0f} MB\n")
            (model,) = client.get("models").json()["models"]
            print(f"{model['precision']}, {ROUNDS} rounds\n")
            generator = random.Random(0)
            times: dict[str, list[float]] = {route: [] for route in ROUTES}
            sizes: dict[str, int] = {}
            for number in range(ROUNDS + WARM):
                for route in generator.sample(list(ROUTES), len(ROUTES)):
                    seconds, sizes[route] = post(client, route)
                    if number >= WARM:
                        times[route].append(seconds)
        classify_s = statistics.median(times["classify"])
        print("| request | ms | ratio to classify | kB |\n|---|---|---|---|")
        for route, seconds_each in times.items():
            median = statistics.median(seconds_each)
            ratio = median / classify_s
            print(f"| {route} | {median * 1e3:.1f} | {ratio:.2f} | {sizes[route] / 1e3:.1f} |")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
