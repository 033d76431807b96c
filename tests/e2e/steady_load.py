"""Clients that post one photo after the other until a test has seen enough."""

import threading
from collections import Counter
from dataclasses import dataclass

import httpx


@dataclass(frozen=True)
class Outcome:
    """The version and the most probable label of a response, or the code of its problem."""

    status: int
    version: int
    label: str


class SteadyLoad:
    """Clients that post a photo to `url` until the block ends, and their outcomes."""

    def __init__(self, url: str, photo: bytes, clients: int) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self._url, self._photo = url, photo
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._post) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _post(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._stop.is_set():
                response = client.post(self._url, content=self._photo)
                fields = response.json()
                best = fields["predictions"][0]["label"] if response.is_success else fields["code"]
                outcome = Outcome(response.status_code, fields.get("version", 0), best)
                with self._lock:
                    self.outcomes[outcome] += 1

    def wait_for_more(self, count: int) -> None:
        """Wait until clients have had so many more outcomes."""
        seen = self.outcomes.total()
        while self.outcomes.total() < seen + count:
            assert all(thread.is_alive() for thread in self._threads)
            self._stop.wait(0.01)
