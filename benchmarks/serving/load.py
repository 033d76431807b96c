"""A load generator in its own process.

    python -m benchmarks.serving.load URL BODIES CLIENTS SECONDS FORM

CLIENTS connections post the photos of the folder BODIES in turn; each waits for a response before
it posts the next photo. FORM is 1 for multipart uploads. The measurement takes SECONDS and begins
when every client has had its first response. The output is one JSON object: the latencies in ms and
the statuses of responses in that time, the number of responses before it, and, in that time, the
number of cores that this process kept busy and the number that nothing used.
"""

import asyncio
import json
import math
import re
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from benchmarks.serving.process import idle_s

_LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
_BOUNDARY = "hubel-benchmark"


def requests_of(url: str, folder: Path, form: bool) -> list[bytes]:
    """Return complete HTTP requests, one for each photo."""
    address = urlsplit(url)
    requests = []
    for file in sorted(folder.iterdir()):
        body, kind = file.read_bytes(), "image/jpeg"
        if form:
            kind = f"multipart/form-data; boundary={_BOUNDARY}"
            head = (
                f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; '
                f'filename="{file.name}"\r\nContent-Type: image/jpeg\r\n\r\n'
            )
            body = head.encode() + body + f"\r\n--{_BOUNDARY}--\r\n".encode()
        target = address.path + (f"?{address.query}" if address.query else "")
        head = (
            f"POST {target} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


class Load:
    """The state that all connections share."""

    def __init__(self, requests: list[bytes], clients: int, seconds: float) -> None:
        self.requests = requests
        self.seconds = seconds
        self.end = math.inf
        self.cold = clients
        """The number of clients without a response so far."""
        self.before = 0
        self.numbers = count()
        self.cpu_began_s = 0.0
        self.idle_began_s = 0.0
        self.cpu_s = 0.0
        """CPU time of this process in the measured time."""
        self.idle_s = 0.0
        """Time that all cores were idle in the measured time."""
        self.latencies_ms: list[float] = []
        self.statuses: Counter[int] = Counter()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._response = bytearray()
        self._is_cold = True
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Post the first photo."""
        self._transport = transport
        self._post()

    def _post(self) -> None:
        requests = self._load.requests
        self._began = time.perf_counter()
        self._transport.write(requests[next(self._load.numbers) % len(requests)])

    def data_received(self, data: bytes) -> None:
        """Collect a response; when it is complete, post the next photo."""
        self._response += data
        head, separator, body = self._response.partition(b"\r\n\r\n")
        if not separator or len(body) < int(_LENGTH.search(head)[1]):
            return
        now = time.perf_counter()
        if now <= self._load.end:
            self._count(now, int(head[9:12]))
            self._response.clear()
            self._post()
        elif not self.done.done():
            load = self._load
            if not load.cpu_s:
                load.cpu_s = time.process_time() - load.cpu_began_s
                load.idle_s = idle_s() - load.idle_began_s
            self.done.set_result(None)

    def _count(self, now: float, status: int) -> None:
        load = self._load
        if load.cold:
            load.before += 1
            load.cold -= self._is_cold
            if not load.cold:
                load.end = now + load.seconds
                load.cpu_began_s, load.idle_began_s = time.process_time(), idle_s()
        else:
            load.latencies_ms.append((now - self._began) * 1e3)
            load.statuses[status] += 1
        self._is_cold = False

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the measurement: the server closed the connection."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


async def run(url: str, folder: Path, clients: int, seconds: float, form: bool) -> Load:
    """Load the server at `url`."""
    address = urlsplit(url)
    load = Load(requests_of(url, folder, form), clients, seconds)
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Connection(load), address.hostname, address.port)
        for _ in range(clients)
    ]
    await asyncio.gather(*(connection.done for _, connection in opened))
    for transport, _ in opened:
        transport.abort()
    await asyncio.sleep(0)  # let the loop close them first
    return load


def main() -> None:
    """Print the measurement."""
    url, folder, clients, seconds, form = sys.argv[1:]
    load = uvloop.run(run(url, Path(folder), int(clients), float(seconds), form == "1"))
    result = {
        "latencies_ms": load.latencies_ms,
        "statuses": load.statuses,
        "before": load.before,
        "cores": load.cpu_s / load.seconds,
        "idle_cores": load.idle_s / load.seconds,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
