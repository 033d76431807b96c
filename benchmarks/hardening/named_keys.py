"""Add, limit and revoke a key while clients with other keys load the service.

    python -m benchmarks.hardening.named_keys [--clients 32] [--seconds 5]

Each client posts a photo of 480 by 480, again after each response, with a key of its own. Meanwhile
another key is added, limited to one request a second, and revoked, each by `hubel keys`. No request
of the other keys may fail; the key itself must get 200, then 429, then 401.
"""

import argparse
import collections
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from app.keys_file import NamedKeys, change, create
from benchmarks.hardening.slow_client_load import PHOTO
from benchmarks.processor import describe
from benchmarks.serving.process import ServerProcess, free_port

MAIN = "from app.cli import main; main()"
_LATE = "late"
_MAX_WAIT_S = 30.0


def hubel_keys(file: Path) -> Callable[..., str]:
    """Return a function that runs `hubel keys` with `file` and returns its output."""

    def run(*arguments: str) -> str:
        command = [sys.executable, "-c", MAIN, "keys", *arguments, "--file", str(file)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    return run


def change_under_load(
    url: str, keys: Sequence[str], hubel: Callable[..., str], photo: bytes, seconds: float
) -> Mapping[int, int]:
    """Change another key while a client of each of `keys` posts photos.

    Args:
        url: the service.
        keys: the keys of the clients.
        hubel: runs `hubel keys` on the keys file of the service.
        photo: the body of each request.
        seconds: the time of the load before and after the changes.

    Returns:
        The number of the clients' responses by status.

    Raises:
        SystemExit: the changed key doesn't get the status that it should.
    """
    statuses: collections.Counter[int] = collections.Counter()
    stop = threading.Event()

    def post(key: str) -> None:
        with httpx.Client(base_url=url, timeout=60, headers={"X-API-Key": key}) as client:
            while not stop.is_set():
                statuses[client.post("/api/v1/classify", content=photo).status_code] += 1

    threads = [threading.Thread(target=post, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    try:
        time.sleep(seconds)
        late = hubel("add", _LATE)
        _expect(url, late, 200)
        hubel("limit", _LATE, "--requests-per-second", "1")
        _expect(url, late, 429)
        hubel("revoke", _LATE)
        _expect(url, late, 401)
        time.sleep(seconds)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return statuses


def _expect(url: str, key: str, status: int) -> None:
    """Send requests with `key` until one gets `status`."""
    began = time.monotonic()
    with httpx.Client(base_url=url, timeout=60, headers={"X-API-Key": key}) as client:
        while (got := client.get("/api/v1/models").status_code) != status:
            if time.monotonic() - began > _MAX_WAIT_S:
                raise SystemExit(f"The changed key gets {got} and never {status}.")
            time.sleep(0.02)
    print(f"the changed key gets {status} after {time.monotonic() - began:.2f} s", flush=True)


def _is_alive(url: str) -> bool:
    try:
        return urllib.request.urlopen(f"{url}/readyz", timeout=2).status == httpx.codes.OK
    except OSError:
        return False


def main() -> None:
    """Start a service, load it, and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    print(describe(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys.json"
        created = [create(f"client{number}", "classify") for number in range(arguments.clients)]
        change(file, lambda _: NamedKeys(keys=tuple(stored for _, stored in created)))
        hubel, keys = hubel_keys(file), [key for key, _ in created]
        url = f"http://127.0.0.1:{free_port()}"
        server = ServerProcess(
            [sys.executable, "-c", MAIN, "serve", "--port", url.rpartition(":")[2]],
            {
                "HUBEL_KEYS_FILE": str(file),
                "HUBEL_DRAIN_S": "0",
                "HUBEL_QUEUE_WAIT_S": "60",  # this is about keys: the queue refuses nobody
                "HUBEL_DEADLINE_S": "60",
            },
            lambda: _is_alive(url),
        )
        try:
            statuses = change_under_load(url, keys, hubel, PHOTO, arguments.seconds)
        finally:
            server.stop()
    print(f"{arguments.clients} other clients: {dict(statuses)}")
    if set(statuses) != {int(httpx.codes.OK)}:
        raise SystemExit("A request of another key failed.")


if __name__ == "__main__":
    main()
