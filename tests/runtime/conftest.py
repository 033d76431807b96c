"""The loaded tiny model and an empty models folder, for all tests of the runtime."""

from pathlib import Path

import pytest

from app.runtime.loaded_model import Model, load_model


@pytest.fixture
def model(make_bundle) -> Model:
    return load_model(make_bundle().folder, "cpu")


@pytest.fixture
def models(tmp_path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"
