"""What the HTTP tests share: a service of the tiny model, and clients cruder than httpx."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest


class Raw:
    """One connection, spoken to in bytes."""

    def __init__(self, client: httpx.Client) -> None:
        self.socket = socket.create_connection(("127.0.0.1", client.base_url.port), timeout=20)

    def send(self, *lines: str, body: bytes = b"") -> None:
        head = "".join(f"{line}\r\n" for line in (*lines, "Host: here", ""))
        self.socket.sendall(head.encode() + body)

    def read_response(self) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Status, headers and JSON of the next answer."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more(data)
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        while len(body) < int(headers["content-length"]):
            body += self._more(body)
        return int(status.split()[1]), headers, json.loads(body)

    def _more(self, so_far: bytes) -> bytes:
        chunk = self.socket.recv(65536)
        assert chunk, f"the connection ended after {so_far!r}"
        return chunk


@pytest.fixture
def connect() -> Iterator[Callable[[httpx.Client], Raw]]:
    with contextlib.ExitStack() as stack:

        def start(client: httpx.Client) -> Raw:
            raw = Raw(client)
            stack.callback(raw.socket.close)
            return raw

        yield start


class Block:
    """Work that keeps every thread of the service's engine busy until it is let go."""

    def __init__(self, client: httpx.Client) -> None:
        self.service = client.app.state.service
        self.engine = self.service.classifier.engine
        self._opened = threading.Event()
        began = threading.Semaphore(0)

        def hold(queue_s: float) -> None:
            began.release()
            assert self._opened.wait(30)

        self.engine.submit(*[hold] * self.engine.threads)
        for _ in range(self.engine.threads):
            assert began.acquire(timeout=30)

    def fill(self) -> None:
        """Leave the queue room for nothing."""
        self.engine.service_s = 1e9
        self.engine.submit(*[lambda queue_s: None] * self.engine.capacity)

    def release(self) -> None:
        self._opened.set()


@pytest.fixture
def block() -> Callable[[httpx.Client], contextlib.AbstractContextManager[Block]]:
    """Blocks the engine of a client's service, until the block ends."""

    @contextlib.contextmanager
    def start(client: httpx.Client) -> Iterator[Block]:
        block = Block(client)
        try:
            yield block
        finally:
            block.release()

    return start


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for something that must come about, and fails if it never does."""

    def wait(comes: Callable[[], bool]) -> None:
        for _ in range(2000):
            if comes():
                return
            time.sleep(0.005)
        pytest.fail("it never came about")

    return wait
