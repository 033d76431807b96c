"""Probe a service at a steady pace, in a process of its own.

    python -m benchmarks.hardening.probes URL SECONDS PATH …

Each path is requested 20 times a second on a connection of its own. The output is one JSON object:
the latencies in ms by path, and the number of cores that this process kept busy.
"""

import json
import socket
import sys
import threading
import time
from collections import defaultdict
from urllib.parse import urlsplit

_PAUSE_S = 0.05


def probe(host: str, port: int, path: str, end: float, latencies_ms: list[float]) -> None:
    """Request `path` until `end`, and append each latency."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with socket.create_connection((host, port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.perf_counter() < end:
            began = time.perf_counter()
            connection.sendall(request)
            response = b""
            while b"\r\n\r\n" not in response:
                response += connection.recv(65536)
            head, _, body = response.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += connection.recv(65536)
            latencies_ms.append((time.perf_counter() - began) * 1e3)
            time.sleep(_PAUSE_S)


def main() -> None:
    """Print the measurement."""
    url, seconds, *paths = sys.argv[1:]
    address = urlsplit(url)
    end = time.perf_counter() + float(seconds)
    latencies_ms: dict[str, list[float]] = defaultdict(list)
    threads = [
        threading.Thread(
            target=probe, args=(address.hostname, address.port, path, end, latencies_ms[path])
        )
        for path in paths
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cores = time.process_time() / float(seconds)
    print(json.dumps({"latencies_ms": latencies_ms, "cores": cores}))


if __name__ == "__main__":
    main()
