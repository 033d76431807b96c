"""The fixtures of the HTTP tests: raw connections, and an engine that is kept busy."""

import contextlib
import dataclasses
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.api.auth import Keys
from app.keys_file import KeyLimits, KeysFile, NamedKeys, change, create


class Raw:
    """A connection that sends and receives bytes."""

    def __init__(self, client: httpx.Client) -> None:
        self.socket = socket.create_connection(("127.0.0.1", client.base_url.port), timeout=120)

    def send(self, *lines: str, body: bytes = b"") -> None:
        head = "".join(f"{line}\r\n" for line in (*lines, "Host: here", ""))
        self.socket.sendall(head.encode() + body)

    def read_response(self) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Return status, headers and JSON of the next response."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more(data)
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        while len(body) < int(headers["content-length"]):
            body += self._more(body)
        return int(status.split()[1]), headers, json.loads(body)

    def _more(self, received: bytes) -> bytes:
        chunk = self.socket.recv(65536)
        assert chunk, f"the connection ended after {received!r}"
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
    """Work that keeps every thread of the service's engine busy until it is released."""

    def __init__(self, client: httpx.Client) -> None:
        self.service = client.app.state.service
        self.engine = self.service.classifier.engine
        self._released = threading.Event()
        started = threading.Semaphore(0)

        def hold(turn: object) -> None:
            started.release()
            assert self._released.wait(120)

        self.engine.submit(*[hold] * self.engine.threads)
        for _ in range(self.engine.threads):
            assert started.acquire(timeout=120)

    def fill(self) -> None:
        """Fill the queue."""
        self.engine.expect(1e9)
        self.engine.submit(lambda turn: None)
        assert self.engine.is_full()

    def empty(self) -> None:
        """Let the queue accept requests again, once this block is released."""
        self.engine.expect(0.02)

    def release(self) -> None:
        self._released.set()


@pytest.fixture
def block() -> Callable[[httpx.Client], contextlib.AbstractContextManager[Block]]:
    """Block the engine of a client's service until the `with` block ends."""

    @contextlib.contextmanager
    def start(client: httpx.Client) -> Iterator[Block]:
        block = Block(client)
        try:
            yield block
        finally:
            block.release()

    return start


@pytest.fixture(scope="module")
def named(client, tmp_path_factory):
    """The module's service with a keys file, a function that adds a key, and the file."""
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    change(file, lambda before: before)
    state = client.app.state
    before = state.service
    keys = KeysFile(file, interval_s=0.02)

    def add(name, scope="classify", **limits):
        key, added = create(name, scope, KeyLimits(**limits).or_none)
        change(file, lambda before: NamedKeys(keys=(*before.keys, added)))
        keys.follow()
        return {"X-API-Key": key}

    with keys:
        state.service = dataclasses.replace(before, keys=Keys("hush", "boss", named=keys))
        yield client, add, file
        state.service = before
