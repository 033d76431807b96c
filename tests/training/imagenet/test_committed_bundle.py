"""The committed default bundle: labels, accuracy, golden photos, int8 without saturation."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from PIL import Image

from app import bundle, vision
from app.runtime.session import Session
from app.runtime.verify import run_golden
from training.calibration import softmax
from training.imagenet import labels
from training.packaging import default_golden

FOLDER = Path(__file__).parents[3] / "model" / "imagenet"


@pytest.fixture(scope="module")
def imagenet():
    loaded = bundle.load(FOLDER)
    bundle.verify_files(loaded)
    return loaded


@pytest.fixture(scope="module")
def pixels(imagenet):
    files = [FOLDER / photo.file for photo in imagenet.manifest.golden.photos]
    limits = vision.Limits(max_bytes=10**6, max_pixels=10**6)
    pictures = [vision.decode(file.read_bytes(), limits) for file in files]
    return np.stack([vision.resize(picture, imagenet.manifest.input) for picture in pictures])


def test_it_is_small_enough_to_commit_and_holds_nothing_unlisted(imagenet):
    files = {path for path in FOLDER.rglob("*") if path.is_file()}
    assert sum(path.stat().st_size for path in files) <= 35_000_000
    listed = {FOLDER / name for name in imagenet.manifest.files}
    assert files == listed | {FOLDER / bundle.MANIFEST, FOLDER / bundle.MODEL_CARD}


def test_its_labels_are_those_of_imagenet(imagenet):
    assert imagenet.manifest.labels == labels.read(labels.IMAGENET)


def test_it_is_as_accurate_as_the_default_model_must_be(imagenet):
    figures = imagenet.manifest.metrics["int8"]
    assert figures.top1 >= 0.87
    assert figures.top5 >= 0.97


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_golden_photos_get_their_labels_and_probabilities(imagenet, precision):
    session = Session(imagenet.model_path(precision), "cpu", precision)
    results = run_golden(session, imagenet)
    assert all(result.passed for result in results), results
    expected = np.load(imagenet.path(imagenet.manifest.golden.expected[precision]))
    names = [imagenet.manifest.labels[index].name for index in expected.argmax(axis=1)]
    assert names == [photo.label for photo in imagenet.manifest.golden.photos]


def test_no_two_products_of_int8_saturate_on_any_processor(imagenet):
    graph = onnx.load(imagenet.model_path("int8")).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    rounded = [name for name in constants if name.endswith(".weight_quantized")]
    assert len(rounded) == sum(node.op_type == "Conv" for node in graph.node)
    assert all(np.abs(constants[name].astype(int)).max() <= 64 for name in rounded)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_class_activation_maps_add_up_to_the_probabilities(imagenet, pixels, precision):
    session = ort.InferenceSession(
        imagenet.model_path(precision), providers=["CPUExecutionProvider"]
    )
    expected = ["probabilities", "embedding", "activation"]
    probabilities, embedding, activation = session.run(expected, {"image": pixels})
    constants = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load(imagenet.model_path(precision)).graph.initializer
    }
    maps = np.einsum("ndhw,kd->nkhw", activation, constants["head.weight"])
    logits = maps.mean(axis=(2, 3)) + constants["head.bias"]
    assert softmax(logits / constants["temperature"]) == pytest.approx(probabilities, abs=1e-4)
    assert activation.mean(axis=(2, 3)) == pytest.approx(embedding, abs=1e-4)


def test_golden_photos_cover_the_cases_of_preprocessing(imagenet):
    found = []
    for photo in imagenet.manifest.golden.photos:
        with Image.open(FOLDER / photo.file) as image:
            found.append((image.mode, image.size, image.getexif().get(0x0112)))
    modes, sizes, orientations = zip(*found, strict=True)
    assert set(modes) == {"RGB", "L"}
    assert 6 in orientations
    assert any(mode == "RGB" and size == (480, 480) for mode, size, _ in found)
    assert len(set(sizes)) > 1


def test_every_golden_photo_has_a_free_licence_on_record(imagenet):
    for photo in imagenet.manifest.golden.photos:
        assert photo.source == default_golden.ORIGINS[Path(photo.file).name].source
        assert "CC0" in photo.source or "public domain" in photo.source


def test_the_model_card_has_figures_and_licences(imagenet):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"{100 * imagenet.manifest.metrics['int8'].top1:.1f} %" in card
    assert "Apache License 2.0" in card
    assert all(photo.source in card for photo in imagenet.manifest.golden.photos)
