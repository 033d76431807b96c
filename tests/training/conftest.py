"""Generated photos: blobs of one hue for each class, each photo different."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

HUES = {"red": (1.0, 0.3, 0.2), "green": (0.2, 1.0, 0.3), "blue": (0.3, 0.2, 1.0)}


def blobs(hue: str, seed: int, size: int = 96) -> Image.Image:
    """Return a photo of blobs, `size` pixels square."""
    noise = np.random.default_rng(seed).integers(40, 256, (6, 6, 1))
    pixels = (noise * np.array(HUES[hue])).astype(np.uint8)
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def blob() -> Callable[..., bytes]:
    """Return a function that makes a photo's bytes: blob("red", 1), blob("red", 1, "GIF", ...)."""

    def make(hue: str, seed: int, format: str = "JPEG", size: int = 96, **options: int) -> bytes:
        file = io.BytesIO()
        blobs(hue, seed, size).save(file, format, **options)
        return file.getvalue()

    return make


@pytest.fixture
def data(tmp_path, blob):
    """A data folder with twelve photos of each of two classes."""
    for start, hue in enumerate(("red", "green")):
        (tmp_path / "data" / hue).mkdir(parents=True)
        for index in range(12):
            (tmp_path / "data" / hue / f"{index:02}.jpg").write_bytes(
                blob(hue, 100 * start + index)
            )
    return tmp_path / "data"
