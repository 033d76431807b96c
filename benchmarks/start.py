"""Process start to first right answer, and memory: `python benchmarks/start.py`.

Starts `hubel serve` again and again, posts a golden photo until it is answered, and prints the
seconds from before the process existed to the answer (median, least, most) and the memory (PSS, in
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
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    """Until somebody listens; a look costs little, for the server wants all cores."""
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.005)


def pss_mb(pid: int) -> float:
    """The process's proportional set size in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(text.split("Pss:")[1].split()[0]) * 1024 / 1e6


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"HUBEL_DRAIN_S": "0"}  # modules are compiled, as after an installation


def measure() -> tuple[float, float]:
    """Seconds to the first right answer, and MB after a load."""
    port = free_port()
    body = PHOTO.read_bytes()
    url = f"http://127.0.0.1:{port}/api/v1/classify"
    command = [Path(sys.executable).with_name("hubel"), "serve", "--port", str(port)]
    began = time.perf_counter()
    server = subprocess.Popen(command, env=_environment(), stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        with httpx.Client() as client:
            answer = client.post(url, content=body)
            seconds = time.perf_counter() - began
            assert "cat" in answer.json()["predictions"][0]["label"]
            with ThreadPoolExecutor(8) as pool:
                posted = pool.map(lambda _: client.post(url, content=body), range(200))
                assert all(answer.is_success for answer in posted)
        return seconds, pss_mb(server.pid)
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Print the figures."""
    measure()  # compiles what is not
    times, sizes = zip(*(measure() for _ in range(ROUNDS)), strict=True)
    print(
        f"first right answer  {statistics.median(times):.2f} s  ({min(times):.2f}-{max(times):.2f})"
    )
    print(
        f"memory (PSS)        {statistics.median(sizes):.0f} MB ({min(sizes):.0f}-{max(sizes):.0f})"
    )


if __name__ == "__main__":
    main()
