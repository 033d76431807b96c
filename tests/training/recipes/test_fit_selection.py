"""`hubel train --fit`: which part of a photo the model reads, stated or selected."""

import io

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from app import vision
from app.bundle import InputSpec, load
from app.cli import main
from app.runtime.classifier import Query, classify
from app.runtime.loaded_model import load_model
from training.data.photos import LIMITS
from training.recipes.fit_selection import best_fit, with_fit
from training.report.proportions import in_proportion

HEIGHT = 60


def wide_photo(colour: tuple[int, int, int], seed: int) -> Image.Image:
    """A photo of 180 x 60 with its colour at the left and right edge, and noise in the middle."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 18, 3), np.uint8)
    image = Image.fromarray(noise).resize((3 * HEIGHT, HEIGHT), Image.Resampling.BICUBIC)
    for left in (0, 2 * HEIGHT):
        image.paste(colour, (left, 0, left + HEIGHT - 4, HEIGHT))
    return image


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A bundle trained with --fit auto on photos whose classes differ at the edges alone."""
    data = tmp_path_factory.mktemp("data") / "edges"
    for label, colour in {"red": (220, 40, 30), "blue": (30, 60, 220)}.items():
        (data / label).mkdir(parents=True)
        for index in range(12):
            wide_photo(colour, 100 * (label == "red") + index).save(data / label / f"{index}.png")
    output = data.parent / "bundle"
    result = CliRunner().invoke(
        main, ["train", str(data), "--output", str(output), "--fit", "auto"]
    )
    assert result.exit_code == 0, result.output
    return output, result.output, data


def test_auto_selects_a_fit_that_sees_the_edges_and_says_what_each_gave(trained):
    output, log, _ = trained
    manifest = load(output).manifest
    assert manifest.input.fit in ("stretch", "contain")
    assert f"selected {manifest.input.fit} (this took" in log
    arguments = manifest.training.arguments
    assert arguments["fit"] == "auto"
    assert arguments["fit_candidates"].keys() == {"cover", "stretch", "contain"}
    accuracy = {fit: each["accuracy"] for fit, each in arguments["fit_candidates"].items()}
    assert accuracy[manifest.input.fit] == 1
    assert accuracy["cover"] < 0.9


def test_the_golden_photos_keep_the_proportions_that_verify_the_fit(trained):
    output, _, _ = trained
    bundle = load(output)
    for photo in bundle.manifest.golden.photos:
        with Image.open(bundle.path(photo.file)) as image:
            assert image.size == (480, 160)
        assert photo.source.endswith("the whole at 480x160")


def test_card_and_report_say_that_the_whole_photo_is_read(trained):
    output, _, _ = trained
    fit = load(output).manifest.input.fit
    assert "It reads the whole photo, " in (output / "README.md").read_text()
    assert f"the whole photo ({fit})" in (output / "report" / "index.html").read_text()


def test_the_trained_model_reads_the_edges(trained):
    output, _, data = trained
    model = load_model(output, "cpu")
    for label in ("red", "blue"):
        photo = (data / label / "0.png").read_bytes()
        assert classify(photo, model, Query(), LIMITS).predictions[0].label == label


@pytest.mark.parametrize(
    ("losses", "selected"),
    [
        ({"cover": [1, 1.2, 0.8], "stretch": [0.1, 0.2, 0.1], "contain": [0.5] * 3}, "stretch"),
        ({"cover": [1, 1, 1], "stretch": [0, 2, 0.9], "contain": [5] * 3}, "cover"),
        ({"cover": [0.1, 0.1], "stretch": [0.1, 0.1], "contain": [0.1, 0.1]}, "cover"),
    ],
    ids=["better", "within the error", "equal"],
)
def test_another_fit_needs_a_difference_beyond_its_error(losses, selected):
    assert best_fit({fit: np.array(each, float) for fit, each in losses.items()}) == selected


def test_a_fit_of_the_whole_photo_crops_nothing():
    spec = InputSpec(size=224, crop=0.875, resample="bicubic")
    assert with_fit(spec, "cover") == spec
    assert with_fit(spec, "stretch") == spec.model_copy(update={"fit": "stretch", "crop": 1.0})


@pytest.mark.parametrize("fit", ["stretch", "contain"])
def test_a_report_shows_photos_in_their_proportions(fit):
    image = wide_photo((220, 40, 30), 1)
    file = io.BytesIO()
    image.save(file, "PNG")
    spec = InputSpec(size=(120, 60), crop=1, resample="box", fit=fit)
    picture = vision.decode(file.getvalue(), LIMITS, vision.view_of(spec))

    class Photo:
        width, height = image.size

    shown = in_proportion(vision.resize(picture, spec), spec, Photo)
    assert shown.shape == (40, 120, 3)
    expected = np.asarray(image.resize((120, 40), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(shown[4:-4] - expected[4:-4]).mean() < 20
