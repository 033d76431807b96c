"""Data folders of generated photos, for training."""

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from app.cli import main

EXPORTED = Path(__file__).parent / "importing" / "exported"


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


HUES = {"red": (215, 40, 40), "green": (40, 190, 40), "blue": (40, 60, 215)}


def _photo(path, labels, rng):
    """Draw a grey photo with a square of the colour of each label."""
    pixels = rng.normal(110, 14, (96, 96, 3))
    places = rng.permutation(4)
    for place, label in zip(places, labels, strict=False):
        row, column = divmod(int(place), 2)
        box = (slice(48 * row + 6, 48 * row + 42), slice(48 * column + 6, 48 * column + 42))
        pixels[box] = np.array(HUES[label]) + rng.normal(0, 12, (36, 36, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=92)


@pytest.fixture(scope="module")
def colours_of_each(tmp_path_factory):
    """A folder with photos of none, one, two or three colours, and its labels.csv."""
    folder = tmp_path_factory.mktemp("several") / "colours"
    folder.mkdir()
    rng = np.random.default_rng(5)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "labels"])
        for index in range(48):
            labels = [label for bit, label in enumerate(HUES) if index % 8 >> bit & 1]
            _photo(folder / f"{index:02}.jpg", labels, rng)
            table.writerow([f"{index:02}.jpg", ";".join(labels)])
    return folder


@pytest.fixture(scope="session")
def small_backbone(tmp_path_factory):
    """The bundle of a tiny imported network, for training in which the network doesn't matter."""
    folder = tmp_path_factory.mktemp("backbone")
    (folder / "labels.txt").write_text("red\ngreen\nblue")
    source = (EXPORTED / "cnn-dynamic.onnx", "--labels", folder / "labels.txt")
    pixels = ("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--pixel-range", 1)
    command = ("import", *source, *pixels, "--resample", "bilinear", "--output", folder / "small")
    result = CliRunner().invoke(main, [*map(str, command)])
    assert result.exit_code == 0, result.output
    return folder / "small"
