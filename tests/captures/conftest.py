"""A store, and photos to keep in it."""

from collections.abc import Callable

import pytest

from app.captures import NewCapture, Prediction, Store, StoreLimits


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def roomy() -> StoreLimits:
    return StoreLimits(10**9, 10**6, 10**6)


@pytest.fixture
def capture() -> Callable[..., NewCapture]:
    """Return what makes a capture of a number: distinct bytes, and values of its own."""

    def make(number: int, **values: object) -> NewCapture:
        given = {
            "data": b"photo %d" % number,
            "format": "jpeg",
            "width": 4,
            "height": 3,
            "request_id": f"r{number}",
            "index": 0,
            "model": "pets",
            "version": 1,
            "decision": "unsure",
            "predictions": (Prediction("cat", 0.5), Prediction("dog", 0.25)),
            "reason": "unsure",
            "captured_ms": 1_000_000 + number,
            **values,
        }
        return NewCapture(**given)

    return make
