"""A load generator of slow clients, in its own process.

    python -m benchmarks.hardening.slow_client_load KIND PORT CLIENTS

CLIENTS connections of one kind come, 500 a second. One that the service ends comes again. A line is
printed a second after the last has come, and at the end of standard input the number of clients
that wait at that moment: for room to send, or for a response that they don't read.
"""

import asyncio
import resource
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PHOTO = (Path(__file__).parents[2] / "model" / "imagenet" / "golden" / "chelsea.jpg").read_bytes()
CLASSIFY = "/api/v1/classify"
_ARRIVALS_PER_S = 500
_LONG_TURN_S = 2.0
_RECEIVE_BYTES = 1 << 20


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: test\r\n{length}\r\n".encode() + body


POST = _request("POST", CLASSIFY, PHOTO)


@dataclass(frozen=True)
class Kind:
    """One kind of slow clients."""

    name: str
    clients: int
    pieces: Callable[[int], bytes]
    """Returns what a client sends in its n-th turn."""
    turn_s: float
    """Time between the turns of a client."""
    reads: bool = False


def _dribble(data: bytes, first: int, step: int) -> Callable[[int], bytes]:
    """Send `first` bytes of `data` at first, then `step` bytes a turn."""

    def pieces(turn: int) -> bytes:
        if turn == 0:
            return data[:first]
        begin = first + (turn - 1) * step
        return data[begin : begin + step]

    return pieces


def _repeat(method: str, path: str, times: int = 1) -> Callable[[int], bytes]:
    piece = POST if method == "POST" else _request(method, path) * times
    return lambda turn: piece


_SCRIPT = "/static/swagger-ui/swagger-ui-bundle.js"
KINDS = (
    Kind("slow heads", 1000, _dribble(b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 900, 1, 1), 1.0),
    Kind("slow bodies", 1000, _dribble(POST, len(POST) - len(PHOTO), 16), 1.0),
    # five a second, which is work for the service whether its responses are read or not
    Kind("photos, unread", 500, _repeat("POST", CLASSIFY), 100.0),
    Kind("/openapi.json, unread", 500, _repeat("GET", "/openapi.json", 8), 2.0),
    Kind("/metrics, unread", 500, _repeat("GET", "/metrics", 8), 2.0),
    Kind("a script of 1.4 MB, unread", 500, _repeat("GET", _SCRIPT, 8), 2.0),
    Kind("photos, read", 500, _repeat("POST", CLASSIFY), 100.0, reads=True),
    Kind("/livez, read at once", 200, _repeat("GET", "/livez"), 0.0, reads=True),
    Kind("/openapi.json, read at once", 200, _repeat("GET", "/openapi.json"), 0.0, reads=True),
)


class Attack:
    """The clients of one kind.

    Args:
        kind: what they do.
        port: the port of the service on this machine.
        clients: their number.
    """

    def __init__(self, kind: Kind, port: int, clients: int) -> None:
        self._kind = kind
        self._port = port
        self._waiting = [False] * clients
        self._arrival_s = clients / _ARRIVALS_PER_S

    async def run(self) -> None:
        """Attack until standard input ends."""
        tasks = [asyncio.create_task(self._client(n)) for n in range(len(self._waiting))]
        await asyncio.sleep(self._arrival_s + 1.0)
        print("begun", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(sum(self._waiting), flush=True)
        for task in tasks:
            task.cancel()

    async def _client(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        share = number / len(self._waiting)
        await asyncio.sleep(self._arrival_s * share)
        while True:
            with socket.socket() as connection:
                if not self._kind.reads:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.setblocking(False)
                try:
                    await loop.sock_connect(connection, ("127.0.0.1", self._port))
                    if self._kind.turn_s > _LONG_TURN_S:  # the turns are spread over it
                        await asyncio.sleep(self._kind.turn_s * share)
                    await self._talk(connection, number)
                except OSError:
                    await asyncio.sleep(0.5)

    async def _talk(self, connection: socket.socket, number: int) -> None:
        loop = asyncio.get_running_loop()
        turn = 0
        while piece := self._kind.pieces(turn):
            self._waiting[number] = True
            await loop.sock_sendall(connection, piece)
            if self._kind.reads:
                await _read_response(connection)
                self._waiting[number] = False
            turn += 1
            await asyncio.sleep(self._kind.turn_s)


async def _read_response(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    received = bytearray()
    size = 1 << 62
    while len(received) < size:
        more = await loop.sock_recv(connection, _RECEIVE_BYTES)
        if not more:
            raise ConnectionError
        received += more
        head, separator, _ = received.partition(b"\r\n\r\n")
        if separator:
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            size = len(head) + len(separator) + length


def main() -> None:
    """Attack."""
    name, port, clients = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    (kind,) = (kind for kind in KINDS if kind.name == name)
    asyncio.run(Attack(kind, int(port), int(clients)).run())


if __name__ == "__main__":
    main()
