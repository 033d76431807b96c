"""What the tests of the inside share."""

from pathlib import Path

import numpy as np
import pytest

from app import vision
from app.runtime.inspection import Inspector
from app.runtime.loaded_model import Model, load_model

ANY = vision.Limits(max_bytes=10_000_000, max_pixels=50_000_000)


@pytest.fixture
def inside() -> Inspector:
    return Inspector(ANY, deadline_s=10)


@pytest.fixture
def textbook_model(make_bundle, textbook) -> Model:
    return load_model(make_bundle(name="textbook", graph=textbook).folder, "cpu")


@pytest.fixture(scope="module")
def default_model(imagenet) -> Model:
    return load_model(imagenet, "cpu", "fp32")


@pytest.fixture(scope="module")
def pixels(imagenet, default_model):
    """(photos, S, S, 3): the golden photos as the default model reads them."""

    def read(file: Path):
        return vision.resize(vision.decode(file.read_bytes(), ANY), default_model.manifest.input)

    return np.stack([read(file) for file in sorted((imagenet / "golden").glob("*.jpg"))])
