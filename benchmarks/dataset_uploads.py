"""Send photos to datasets: what large bodies take of memory, and what a kill at any moment loses.

    python -m benchmarks.dataset_uploads memory [--photos 2000] [--kilobytes 100]
    python -m benchmarks.dataset_uploads kills [--rounds 30]

`memory` sends a tenth of the photos as a zip, then all, and downloads the bundle of the default
model. Printed, in Markdown: photos a second, and by how much the most memory that the process ever
used has grown. `kills` sends photos by four threads, kills the service with SIGKILL after a random
time, and starts it again: every photo that was acknowledged must be there, whole and with its
label, and nothing else. It exits with 1 if one is lost.
"""

import argparse
import hashlib
import io
import os
import random
import signal
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from benchmarks.processor import describe
from benchmarks.serving.process import ServerProcess, free_port

_KEY = "benchmark"
_HEADERS = {"X-API-Key": _KEY}
_LABELS = ("cat", "dog", "a/b")
_THREADS = 4
_LONGEST_S = 1.5


def photo(seed: int, kilobytes: int) -> bytes:
    """Return a JPEG of noise of about this size; another one for each seed."""
    side = max(8, int((kilobytes * 1000 / 0.9) ** 0.5))
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    return file.getvalue()


def write_zip(path: Path, photos: int, kilobytes: int) -> None:
    """Write a zip with a folder for each of two labels; photos differ in their last bytes alone."""
    base = photo(0, kilobytes)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(photos):
            comment = b"\xff\xfe\x00\x0a" + f"{number:08d}".encode()
            varied = bytearray(base[:2] + comment + base[2:])
            varied[-1000] = number % 256  # comments are metadata, which are removed
            varied[-1001] = number // 256 % 255
            archive.writestr(f"pets/{_LABELS[number % 2]}/{number}.jpg", bytes(varied))


def start(data_dir: Path) -> tuple[ServerProcess, str]:
    """Start a service with datasets; return it with its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", "from app.cli import main; main()", "serve"]
    environment = {
        "HUBEL_DATA_DIR": str(data_dir),
        "HUBEL_ADMIN_KEY": _KEY,
        "HUBEL_DRAIN_S": "0",
        "HUBEL_UPLOAD_MAX_BYTES": str(8 << 30),
    }

    def is_ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz").is_success
        except httpx.TransportError:
            return False

    return ServerProcess([*command, "--port", str(port)], environment, is_ready), url


def peak_mb(pid: int) -> float:
    """Return the most memory that a process ever used, in MB. Linux only."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def measure_memory(photos: int, kilobytes: int) -> None:
    """Print what zips and a download take."""
    print(f"{describe()}\n\n| body | MB | s | photos/s | peak MB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as below:
        folder = Path(below)
        server, url = start(folder)
        try:
            print(f"| none |  |  |  | {peak_mb(server.pid):.0f} |")
            for number in (photos // 10, photos):
                write_zip(folder / "photos.zip", number, kilobytes)
                megabytes = (folder / "photos.zip").stat().st_size / 1e6
                began = time.monotonic()
                headers = {**_HEADERS, "Content-Type": "application/zip"}
                with (folder / "photos.zip").open("rb") as body:
                    sent = httpx.post(
                        f"{url}/api/v1/datasets/p{number}/photos",
                        content=iter(lambda body=body: body.read(1 << 20), b""),
                        headers=headers,
                        timeout=3600,
                    ).json()
                seconds = time.monotonic() - began
                assert sent["added"] == number, sent
                rate = number / seconds
                peak = peak_mb(server.pid)
                print(f"| zip | {megabytes:.0f} | {seconds:.1f} | {rate:.0f} | {peak:.0f} |")
            began = time.monotonic()
            path = "/api/v1/models/imagenet/versions/1/bundle.zip"
            with httpx.stream("GET", url + path, headers=_HEADERS, timeout=600) as response:
                size = sum(map(len, response.iter_bytes()))
            seconds = time.monotonic() - began
            print(f"| bundle | {size / 1e6:.0f} | {seconds:.1f} |  | {peak_mb(server.pid):.0f} |")
        finally:
            server.stop()


def _send(url: str, seed: int, acknowledged: dict[str, str], lock: threading.Lock) -> None:
    """Send photos until the service is gone; note those that it has acknowledged."""
    rng = random.Random(seed)
    try:
        while True:
            label = rng.choice(_LABELS)
            made = photo(rng.getrandbits(32), 3)
            sent = httpx.post(
                f"{url}/api/v1/datasets/pets/photos",
                files=[("file", made)],
                data={"label": label},
                headers=_HEADERS,
            ).json()
            with lock:
                acknowledged[sent["results"][0]["id"]] = label
    except httpx.TransportError:
        return


def kept(url: str) -> Iterator[dict[str, object]]:
    """Yield all photos of the dataset."""
    after = None
    while True:
        params = {"count": "500", **({"after": after} if after else {})}
        page = httpx.get(
            f"{url}/api/v1/datasets/pets/photos", params=params, headers=_HEADERS
        ).json()
        yield from page["photos"]
        after = page["next"]
        if after is None:
            return


def count_losses(rounds: int) -> int:
    """Kill the service again and again; return the number of photos that were lost or left over."""
    acknowledged: dict[str, str] = {}
    lock = threading.Lock()
    losses = 0
    with tempfile.TemporaryDirectory() as below:
        folder = Path(below)
        for number in range(rounds):
            server, url = start(folder)
            losses += _check(folder, url, acknowledged) if number else 0
            threads = [
                threading.Thread(target=_send, args=(url, number * 100 + k, acknowledged, lock))
                for k in range(_THREADS)
            ]
            for thread in threads:
                thread.start()
            time.sleep(random.uniform(0, _LONGEST_S))
            os.kill(server.pid, signal.SIGKILL)
            for thread in threads:
                thread.join()
            server.stop()
        server, url = start(folder)
        losses += _check(folder, url, acknowledged)
        server.stop()
    print(f"{rounds} kills, {len(acknowledged)} photos acknowledged, {losses} lost or left over")
    return losses


def _check(folder: Path, url: str, acknowledged: dict[str, str]) -> int:
    if not acknowledged:
        return 0
    found = {str(each["id"]): each["labels"] for each in kept(url)}
    lost = sum(found.get(id) != [label] for id, label in acknowledged.items())
    files = list((folder / "datasets/pets").rglob("*.jpg"))
    broken = sum(hashlib.sha256(p.read_bytes()).hexdigest()[:32] != p.stem for p in files)
    left = len(list((folder / "datasets/.incoming").iterdir())) + len(files) - len(found)
    acknowledged.update({id: str(labels[0]) for id, labels in found.items()})
    return lost + broken + left


def main() -> int:
    """Run one of both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["memory", "kills"])
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--kilobytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    if arguments.what == "memory":
        measure_memory(arguments.photos, arguments.kilobytes)
        return 0
    return int(count_losses(arguments.rounds) > 0)


if __name__ == "__main__":
    sys.exit(main())
