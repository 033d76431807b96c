"""Fixtures of the dialects' tests: golden photos, and the predictions of Hubel's own API."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest


@pytest.fixture(scope="session")
def golden(imagenet: Path) -> Callable[[str], bytes]:
    """Return a golden photo of the default model, by name."""
    return lambda name: (imagenet / f"golden/{name}.jpg").read_bytes()


@pytest.fixture(scope="session")
def own() -> Callable[..., dict[str, float]]:
    """Return the predictions of /api/v1/classify: label -> probability, most probable first."""

    def ask(client: httpx.Client, image: bytes, top_k: int = 5) -> dict[str, float]:
        response = client.post("/api/v1/classify", content=image, params={"top_k": top_k})
        assert response.status_code == 200
        return {p["label"]: p["probability"] for p in response.json()["predictions"]}

    return ask
