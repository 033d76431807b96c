"""The loaded tiny model, for all tests of the runtime."""

import pytest

from app.runtime.loaded_model import Model, load_model


@pytest.fixture
def model(make_bundle) -> Model:
    return load_model(make_bundle().folder, "cpu")
