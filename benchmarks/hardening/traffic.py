"""Mixed requests, as many kinds of clients send them: good, large, broken and abandoned.

`kinds` -> a client draws one by its weight -> `Client.send` -> the status, or a wrong one
"""

import base64
import http.client
import json
import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial

from benchmarks.hardening.images import bmp, pillow, png
from benchmarks.hardening.mutants import mutant, seed_files

_BOUNDARY = "hubel-traffic"
_CLASSIFY = "/api/v1/classify"
GOOD = frozenset({200})
BUSY = frozenset({429, 503})
"""The statuses of a service that is busy."""
REFUSED = frozenset({400, 413, 415, 422})
"""The statuses of an image or a request that can't be used."""


@dataclass(frozen=True)
class Request:
    """A request without its connection."""

    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


@dataclass(frozen=True)
class Kind:
    """A kind of request, and the statuses that are right for it."""

    name: str
    weight: int
    make: Callable[[random.Random], Request]
    right: frozenset[int] = GOOD | BUSY
    is_abandoned: bool = False
    """Whether the client leaves before the response."""


def kinds(photo: bytes) -> tuple[Kind, ...]:
    """Return all kinds.

    Args:
        photo: a JPEG.
    """
    image = base64.b64encode(photo).decode()
    post = partial(_fixed, _CLASSIFY)
    hugging_face = json.dumps({"inputs": image, "parameters": {"top_k": 3}}).encode()
    tensorflow = json.dumps({"instances": [{"b64": image}]}).encode()
    v2 = {
        "inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [image]}],
        "parameters": {},
    }
    return (
        Kind("photo", 40, post(photo)),
        Kind("batch", 6, _batch(photo)),
        Kind("damaged", 30, _damaged, GOOD | BUSY | REFUSED),
        Kind("large", 4, _large, GOOD | BUSY | REFUSED),
        Kind("too large", 2, post(_announce(30_000)), frozenset({413}) | BUSY),
        Kind("Hugging Face", 4, _fixed("/hf/imagenet", hugging_face, **_JSON)),
        Kind("TensorFlow Serving", 4, _fixed("/v1/models/imagenet:predict", tensorflow, **_JSON)),
        Kind("TorchServe", 4, _fixed("/predictions/imagenet", photo)),
        Kind("v2", 4, _fixed("/v2/models/imagenet/infer", json.dumps(v2).encode(), **_JSON)),
        Kind("explain", 3, _fixed("/api/v1/explain", photo)),
        Kind("explain as PNG", 2, _fixed("/api/v1/explain", photo, Accept="image/png")),
        Kind("embed", 3, _fixed("/api/v1/embed", photo)),
        Kind("metrics", 6, _fixed("/metrics", None, method="GET")),
        Kind("OpenAPI", 2, _fixed("/openapi.json", None, method="GET")),
        Kind("no such route", 2, _fixed("/nothing", None, method="GET"), frozenset({404})),
        Kind("abandoned", 6, post(photo), is_abandoned=True),
    )


_JSON = {"Content-Type": "application/json"}


def _fixed(
    path: str, body: bytes | None, *, method: str = "POST", **headers: str
) -> Callable[[random.Random], Request]:
    request = Request(path, body, headers, method)
    return lambda _: request


def _announce(side: int) -> bytes:
    """Return a small BMP whose header announces a square of `side` pixels."""
    data = bytearray(bmp((4, 4), 24))
    struct.pack_into("<ii", data, 18, side, side)
    return bytes(data)


def _batch(photo: bytes) -> Callable[[random.Random], Request]:
    part = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    ).encode()

    def make(rng: random.Random) -> Request:
        files = [photo, photo, _damaged(rng).body or b"", photo][: rng.randrange(2, 5)]
        body = b"".join(part + file + b"\r\n" for file in files) + f"--{_BOUNDARY}--\r\n".encode()
        kind = f"multipart/form-data; boundary={_BOUNDARY}"
        return Request(_CLASSIFY, body, {"Content-Type": kind})

    return make


def _damaged(rng: random.Random) -> Request:
    return Request(_CLASSIFY, mutant(_seed_files(), 0, rng.randrange(1 << 30)).data)


def _large(rng: random.Random) -> Request:
    return Request(_CLASSIFY, rng.choice(_large_files()))


@cache
def _seed_files() -> dict[str, bytes]:
    return seed_files()


@cache
def _large_files() -> tuple[bytes, ...]:
    return (
        pillow("JPEG", "RGB", (4000, 3000), quality=85),
        pillow("JPEG", "RGB", (3000, 2000), progressive=True),
        png((5000, 4000), "rgb", 8),
        png((2000, 2000), "rgba", 16, interlaced=True),
        pillow("WEBP", "RGB", (3000, 2000), method=0),
        pillow("GIF", "P", (3000, 3000)),
    )


class Client:
    """A client that sends one request after the other, on one connection while it lasts.

    Args:
        port: of the service, on this machine.
        kinds: what it may send.
        seed: of its choices.
    """

    def __init__(self, port: int, kinds: tuple[Kind, ...], seed: int) -> None:
        self._port = port
        self._kinds = kinds
        self._rng = random.Random(seed)
        self._connection: http.client.HTTPConnection | None = None

    def send(self) -> tuple[Kind, int]:
        """Send one request; return its kind and the status, 0 where the client left.

        Raises:
            OSError: the service gave no response.
        """
        kind = self._rng.choices(self._kinds, [kind.weight for kind in self._kinds])[0]
        request = kind.make(self._rng)
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        self._connection.request(request.method, request.path, request.body, dict(request.headers))
        if kind.is_abandoned:
            self.close()
            return kind, 0
        response = self._connection.getresponse()
        response.read()
        if response.will_close:
            self.close()
        return kind, response.status

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
