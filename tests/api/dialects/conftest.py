"""What the tests of the dialects share: golden photos, and what our own API says of an image."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest


@pytest.fixture(scope="session")
def golden(imagenet: Path) -> Callable[[str], bytes]:
    """A photo that comes with the default model, by name."""
    return lambda name: (imagenet / f"golden/{name}.jpg").read_bytes()


@pytest.fixture(scope="session")
def own() -> Callable[..., dict[str, float]]:
    """What /api/v1/classify answers: label -> probability, most probable first."""

    def ask(client: httpx.Client, image: bytes, top_k: int = 5) -> dict[str, float]:
        answer = client.post("/api/v1/classify", content=image, params={"top_k": top_k})
        assert answer.status_code == 200
        return {p["label"]: p["probability"] for p in answer.json()["predictions"]}

    return ask
