"""A real server process, and clients that record the exact result of each request."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CLIENTS = 32
REPOSITORY = Path(__file__).resolve().parents[2]


class Process:
    """`hubel serve` on a port of its own, or `port`; run by the command `under` if there is one."""

    def __init__(self, *under: str, port: str = "0", **environment: str) -> None:
        command = [*under, Path(sys.executable).with_name("hubel"), "serve", "--port", port]
        self.popen = subprocess.Popen(
            command, stderr=subprocess.PIPE, env={**os.environ, **environment}, cwd=REPOSITORY
        )
        self.lines: list[str] = []
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._started.wait(timeout=300), f"the server did not start: {self.lines}"
        assert self.port, f"the server did not start: {self.lines}"

    port = 0

    def _read(self) -> None:
        """Read the log continuously: a full pipe would block the server."""
        assert self.popen.stderr is not None
        with self.popen.stderr as log:
            for raw in log:
                self.lines.append(raw.decode())
                if match := re.search(r"answers at https?://127\.0\.0\.1:(\d+)", self.lines[-1]):
                    self.port = int(match[1])
                    self._started.set()
        self._started.set()

    def terminate(self) -> None:
        self.popen.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Return the exit status once the log is complete."""
        status = self.popen.wait(timeout=300)
        self._reader.join()
        return status

    def kill(self) -> None:
        self.popen.kill()
        self.wait()

    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Start servers, run by the command given, if any; the keywords are their environment."""
    started: list[Process] = []

    def begin(*under: str, **environment: str) -> Process:
        started.append(Process(*under, **environment))
        return started[-1]

    yield begin
    for process in started:
        process.kill()


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    """A server whose requests may wait long, as a busy machine makes them; one per module."""
    process = Process(HUBEL_DRAIN_S="0", HUBEL_QUEUE_WAIT_S="30", HUBEL_DEADLINE_S="120")
    yield process
    process.kill()


class RawClient:
    """A client on a plain socket: it reports a reset and never retries."""

    def __init__(self, port: int, body: bytes) -> None:
        self.port = port
        self.connection: socket.socket | None = None
        head = (
            "POST /api/v1/classify HTTP/1.1\r\nHost: test\r\n"
            f"Content-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.request = head.encode() + body

    def post(self) -> str:
        """Return a status such as '200', 'not connected' (no listener), or 'lost: …'."""
        if self.connection is None:
            try:
                self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=120)
            except ConnectionRefusedError:
                return "not connected"
            except OSError as err:  # a reset: the server ended before it accepted the connection
                return f"lost: {err!r}"
        try:
            self.connection.sendall(self.request)
            head, body = self._read_response()
        except OSError as err:
            self.close()
            return f"lost: {err!r}"
        if not head:
            self.close()
            return "lost: empty response"
        if b"connection: close" in head.lower():
            self.close()
        json.loads(body)
        return head.split(b" ", 2)[1].decode()

    def _read_response(self) -> tuple[bytes, bytes]:
        assert self.connection is not None
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := self.connection.recv(65536)):
                return b"", b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head.lower())[1])  # type: ignore[index]
        while len(body) < length:
            if not (more := self.connection.recv(65536)):
                raise ConnectionError("cut short")
            body += more
        return head, body

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@pytest.fixture
def raw_client() -> type[RawClient]:
    return RawClient


@pytest.fixture(scope="session")
def cat_photo() -> bytes:
    """A golden photo of the default model: a tabby cat."""
    return (REPOSITORY / "model/imagenet/golden/chelsea.jpg").read_bytes()


@pytest.fixture
def load(cat_photo: bytes) -> Callable[[int, int, Callable[[int], None]], Counter[str]]:
    """Distribute requests among `CLIENTS` clients and count their results."""

    def run(port: int, requests: int, on_request: Callable[[int], None]) -> Counter[str]:
        statuses: Counter[str] = Counter()
        numbers = iter(range(requests))
        lock = threading.Lock()

        def work() -> None:
            client = RawClient(port, cat_photo)
            status = ""
            while status != "not connected":
                with lock:
                    number = next(numbers, None)
                if number is None:
                    break
                on_request(number)
                status = client.post()
                with lock:
                    statuses[status] += 1
            client.close()

        threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return statuses

    return run
