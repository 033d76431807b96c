"""Fixtures that the vision tests share: an image, an encoder and limits."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.vision import Limits


def _scene(width: int, height: int) -> NDArray[np.uint8]:
    """Draw gradients, waves and hard edges, no two corners alike: (height, width, 3) uint8."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = x / max(width - 1, 1), y / max(height - 1, 1)
    red = 255 * u
    green = 255 * v
    blue = 127 + 100 * np.sin(9 * u + 5 * v)
    pixels = np.stack([red, green, blue], axis=-1)
    pixels[(u > 0.3) & (u < 0.4) & (v > 0.2) & (v < 0.7)] = (250, 240, 10)
    pixels[(u - 0.7) ** 2 + (v - 0.6) ** 2 < 0.02] = (10, 30, 200)
    return pixels.round().astype(np.uint8)


@pytest.fixture(scope="session")
def scene() -> Callable[[int, int], Image.Image]:
    return lambda width=480, height=480: Image.fromarray(_scene(width, height))


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    def encode(image: Image.Image, format: str, **options: object) -> bytes:
        file = BytesIO()
        image.save(file, format, **options)
        return file.getvalue()

    return encode


@pytest.fixture(scope="session")
def limits() -> Limits:
    return Limits(max_bytes=20 << 20, max_pixels=50_000_000)
