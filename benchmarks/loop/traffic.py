"""Clients that classify photos while a model changes; each response is counted."""

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

_TIMEOUT_S = 60


def classify(url: str, photo: bytes, key: str = "") -> dict[str, object]:
    """Return the response of POST /api/v1/classify."""
    headers = {"Content-Type": "image/jpeg"} | ({"X-API-Key": key} if key else {})
    request = Request(f"{url}/api/v1/classify", photo, headers)
    with urlopen(request, timeout=_TIMEOUT_S) as response:
        answer: dict[str, object] = json.load(response)
    return answer


def right(url: str, photos: Sequence[bytes], label: str) -> float:
    """Return the share of photos whose most probable label is `label`."""
    found = [classify(url, photo)["predictions"][0]["label"] for photo in photos]  # type: ignore[index]
    return found.count(label) / len(found)


class Load:
    """Clients that send photos one after another until `stop`.

    Attributes:
        statuses: responses by status; `lost` for those without one.
        versions: responses by the version of the model that gave them.
        longest_s: time of the slowest response.
    """

    def __init__(self, url: str, photos: Sequence[bytes], clients: int) -> None:
        self.statuses: Counter[str] = Counter()
        self.versions: Counter[object] = Counter()
        self.longest_s = 0.0
        self._url = url
        self._photos = photos
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(client,)) for client in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the clients, each after its response."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    @property
    def failed(self) -> int:
        """Responses that are no success, and requests without a response."""
        return self.statuses.total() - self.statuses["200"]

    def _run(self, client: int) -> None:
        turn = client
        while not self._stopped.is_set():
            begun = time.perf_counter()
            status, version = self._ask(self._photos[turn % len(self._photos)])
            with self._lock:
                self.statuses[status] += 1
                self.versions[version] += 1
                self.longest_s = max(self.longest_s, time.perf_counter() - begun)
            turn += 1

    def _ask(self, photo: bytes) -> tuple[str, object]:
        try:
            answer = classify(self._url, photo)
        except HTTPError as err:
            return str(err.code), None
        except (URLError, ConnectionError, TimeoutError):
            return "lost", None
        return "200", f"{answer['model']}/{answer['version']}"
