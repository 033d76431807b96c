"""Measure the time from start to first response, and memory: `python benchmarks/start.py`.

The script starts `hubel serve` several times and posts a golden photo. It prints the seconds from
process start to the first correct response (median, minimum, maximum) and the memory (PSS, in
MB, after 200 photos at concurrency 8).
"""

import os
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "model/imagenet/golden/chelsea.jpg"
ROUNDS = 9


def free_port() -> int:
    """Return a port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    """Wait until the server listens. The checks are cheap, so that the server gets all cores."""
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.005)


def pss_mb(pid: int) -> float:
    """Return the process's proportional set size in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(text.split("Pss:")[1].split()[0]) * 1024 / 1e6


def _environment() -> dict[str, str]:
    # without this variable bytecode is cached, as after an installation
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"HUBEL_DRAIN_S": "0"}


def measure() -> tuple[float, float]:
    """Return the seconds to the first correct response, and the MB after a load."""
    port = free_port()
    body = PHOTO.read_bytes()
    url = f"http://127.0.0.1:{port}/api/v1/classify"
    command = [Path(sys.executable).with_name("hubel"), "serve", "--port", str(port)]
    began = time.perf_counter()
    server = subprocess.Popen(command, env=_environment(), stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        with httpx.Client() as client:
            response = client.post(url, content=body)
            seconds = time.perf_counter() - began
            assert "cat" in response.json()["predictions"][0]["label"]
            with ThreadPoolExecutor(8) as pool:
                responses = pool.map(lambda _: client.post(url, content=body), range(200))
                assert all(response.is_success for response in responses)
        return seconds, pss_mb(server.pid)
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Run the measurements and print them."""
    measure()  # compiles modules
    times, sizes = zip(*(measure() for _ in range(ROUNDS)), strict=True)
    seconds, least, most = statistics.median(times), min(times), max(times)
    print(f"first correct response  {seconds:.2f} s  ({least:.2f}-{most:.2f})")
    size, least, most = statistics.median(sizes), min(sizes), max(sizes)
    print(f"memory (PSS)            {size:.0f} MB ({least:.0f}-{most:.0f})")


if __name__ == "__main__":
    main()
