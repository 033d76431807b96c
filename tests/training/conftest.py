"""A data folder of generated photos, for training."""

import pytest


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
