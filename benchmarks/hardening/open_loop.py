"""An open-loop load generator in a process of its own: requests at a rate, whatever the responses.

    python -m benchmarks.hardening.open_loop URL BODY RATE SECONDS

Requests start at random times (a Poisson process of RATE a second) on idle connections, else on new
ones. A latency runs from the time at which the request was due, so a late generator hides nothing.
The output is one JSON object: by status the number of responses and their latencies in ms (median
and 99th percentile), the requests that had no response, the seconds of the measurement, and the
number of cores that this process kept busy.
"""

import asyncio
import json
import random
import re
import sys
import time
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

_LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
_MAX_CONNECTIONS = 8000
WARM_UP_S = 1.5
"""Seconds of load before the measurement begins: the queue is then as long as it gets."""
_LAST_RESPONSES_S = 3.0


class Load:
    """The state that all connections share."""

    def __init__(self, host: str, port: int, request: bytes, rate: float, seconds: float) -> None:
        self.address = host, port
        self.request = request
        self.rate = rate
        self.loop = asyncio.get_running_loop()
        self.idle: list[Connection] = []
        self.connections: set[Connection] = set()
        self.opening = 0
        self.begin = self.loop.time() + WARM_UP_S
        self.end = self.begin + seconds
        self.due = self.loop.time()
        self.latencies_ms: dict[int, list[float]] = defaultdict(list)
        self.lost = 0
        self.cpu_s = 0.0
        self.finished = self.loop.create_future()

    def send_due(self) -> None:
        """Send every request that is due, then sleep until the next one."""
        now = self.loop.time()
        while self.due <= now:
            if self.due >= self.end:
                self.cpu_s = time.process_time() - self.cpu_s
                self.loop.call_later(_LAST_RESPONSES_S, self.finished.set_result, None)
                return
            if self.due >= self.begin and not self.cpu_s:
                self.cpu_s = time.process_time()
            if self.idle:
                self.idle.pop().post(self.due)
            elif len(self.connections) + self.opening < _MAX_CONNECTIONS:
                self.opening += 1
                self.loop.create_task(self._connect(self.due))
            else:
                self.lost += 1
            self.due += random.expovariate(self.rate)
        self.loop.call_at(self.due, self.send_due)

    async def _connect(self, due: float) -> None:
        try:
            _, connection = await self.loop.create_connection(
                lambda: Connection(self), *self.address
            )
        except OSError:
            self.lost += 1
            return
        finally:
            self.opening -= 1
        connection.post(due)

    def count(self, due: float, status: int) -> None:
        """Record a response, if its request was due in the measured time."""
        if self.begin <= due < self.end:
            self.latencies_ms[status].append((self.loop.time() - due) * 1e3)


class Connection(asyncio.Protocol):
    """One connection, with at most one request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._response = bytearray()
        self._due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport
        self._load.connections.add(self)

    def abort(self) -> None:
        """End the connection, and count its request as lost."""
        self._transport.abort()

    def post(self, due: float) -> None:
        """Send the request that was due at `due`."""
        self._due = due
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        """Collect a response; when it is complete, the connection is idle."""
        if self._response or b"\r\n\r\n" not in data:
            self._response += data
            data = bytes(self._response)
        head, separator, body = data.partition(b"\r\n\r\n")
        if not separator or len(body) < int(_LENGTH.search(head)[1]):
            if not self._response:
                self._response += data
            return
        self._response.clear()
        due, self._due = self._due, None
        if due is not None:
            self._load.count(due, int(head[9:12]))
        if b"connection: close" not in head.lower():
            self._load.idle.append(self)
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Count the request that was not answered."""
        self._load.connections.discard(self)
        if self in self._load.idle:
            self._load.idle.remove(self)
        if self._due is not None:
            self._load.lost += 1


async def run(url: str, body: bytes, rate: float, seconds: float) -> Load:
    """Load the server at `url`."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    head = (
        f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    load = Load(address.hostname, address.port, head.encode() + body, rate, seconds)
    load.send_due()
    await load.finished
    for connection in list(load.connections):
        connection.abort()
    await asyncio.sleep(0.01)  # let the loop close them
    return load


def percentile(values: list[float], percent: float) -> float:
    """Return a percentile of `values`, by nearest rank; infinity if there are none."""
    if not values:
        return float("inf")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def main() -> None:
    """Print the measurement."""
    url, file, rate, seconds = sys.argv[1:]
    load = uvloop.run(run(url, Path(file).read_bytes(), float(rate), float(seconds)))
    result = {
        "statuses": {
            status: {
                "count": len(latencies),
                "p50_ms": percentile(latencies, 50),
                "p99_ms": percentile(latencies, 99),
            }
            for status, latencies in load.latencies_ms.items()
        },
        "lost": load.lost,
        "seconds": float(seconds),
        "cores": load.cpu_s / float(seconds),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
