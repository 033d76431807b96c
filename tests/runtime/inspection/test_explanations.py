"""Explanations: their maps add up to the probabilities, and lie on the labelled things."""

import io
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from app.errors import DeadlinePassed, NotInModel
from app.runtime.engine import NO_ENGINE
from app.runtime.inspection import class_activation, label_index, occlusion
from app.runtime.inspection.layers import read_structure
from app.runtime.inspection.onnx_graph import Graph
from app.runtime.inspection.onnx_head import pooled_head
from app.runtime.session import Session

PHOTOS = os.environ.get("HUBEL_TEST_PHOTOS")
HOT = 0.5
"""The share of the map's maximum from which the overlay is visibly warm."""


def softmax(logits):
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_maps_of_all_labels_add_up_to_the_probabilities(imagenet, pixels, precision):
    file = imagenet / {"fp32": "model.onnx", "int8": "model.int8.onnx"}[precision]
    head = class_activation.centre_head(read_structure(file).head)
    session = Session(file, "cpu", precision)
    probabilities, activation = session.outputs_of(["probabilities", "activation"], pixels)
    for expected, features in zip(probabilities, activation, strict=True):
        maps = np.stack([class_activation.class_map(head, features, k) for k in range(1000)])
        logits = maps.mean(axis=(1, 2)) + head.bias
        assert np.abs(softmax(logits / head.temperature) - expected).max() < 1e-4


def warm_share(explanation, box):
    """Return the share of a map's warm area in a box (left, top, right, bottom), each 0 to 1."""
    small = Image.fromarray(explanation.map.astype(np.float32))
    large = np.asarray(small.resize((480, 480), Image.Resampling.BILINEAR))
    warm = large > HOT * large.max()
    left, top, right, bottom = (round(edge * 480) for edge in box)
    return warm[top:bottom, left:right].sum() / warm.sum()


# Drawn by hand over the centre square; a random map would score the area of the box.
BOXES = [
    ("camera.jpg", "tripod", (0.40, 0.28, 0.85, 1.0)),
    ("coffee.jpg", "espresso", (0.17, 0.03, 0.81, 0.62)),
    ("chelsea.jpg", "Egyptian cat", (0.05, 0.12, 0.92, 1.0)),
    ("rocket.jpg", "missile", (0.30, 0.28, 0.80, 1.0)),
]


@pytest.mark.parametrize(("file", "label", "box"), BOXES, ids=[row[0] for row in BOXES])
def test_the_warm_region_lies_on_the_labelled_thing(
    inspector, default_model, imagenet, file, label, box
):
    photo = (imagenet / "golden" / file).read_bytes()
    explanation = inspector.explain(photo, default_model, label_index(default_model, label))
    assert explanation.method == "class_activation_map"
    assert warm_share(explanation, box) > 0.9


def side_by_side(left: bytes, right: bytes) -> bytes:
    """Return a square photo of the centre halves of two."""
    whole = Image.new("RGB", (480, 480))
    for place, data in enumerate((left, right)):
        with Image.open(io.BytesIO(data)) as image:
            half = image.convert("RGB").resize((480, 480)).crop((120, 0, 360, 480))
            whole.paste(half, (240 * place, 0))
    file = io.BytesIO()
    whole.save(file, "PNG")
    return file.getvalue()


@pytest.mark.skipif(PHOTOS is None, reason="HUBEL_TEST_PHOTOS names no folder of photos")
def test_two_labels_of_a_photo_of_two_animals_lie_on_their_own_animal(inspector, default_model):
    cat, dog = (sorted(Path(PHOTOS, "cats-dogs", kind).iterdir())[0] for kind in ("cat", "dog"))
    labels = [
        int(inspector.explain(file.read_bytes(), default_model, None).probabilities.argmax())
        for file in (cat, dog)
    ]
    both = side_by_side(cat.read_bytes(), dog.read_bytes())
    left, right = (inspector.explain(both, default_model, label).map for label in labels)
    half = left.shape[1] // 2
    difference = left - right  # positive where the cat is likelier than the dog
    assert difference[:, :half].mean() > 0 > difference[:, half:].mean()
    assert left[:, :half].mean() > left[:, half:].mean()
    assert right[:, half:].mean() > right[:, :half].mean()


def test_two_labels_of_one_photo_lie_where_each_thing_is(inspector, default_model, imagenet):
    golden = imagenet / "golden"
    cat, cup = ((golden / name).read_bytes() for name in ("chelsea.jpg", "coffee.jpg"))
    both = side_by_side(cat, cup)
    tabby, espresso = (label_index(default_model, name) for name in ("tabby", "espresso"))
    left = inspector.explain(both, default_model, tabby)
    right = inspector.explain(both, default_model, espresso)
    assert warm_share(left, (0, 0, 0.5, 1)) > 0.8
    assert warm_share(right, (0.5, 0, 1, 1)) > 0.8


def test_a_network_with_fully_connected_layers_is_explained_by_occlusion(inspector, textbook_model):
    picture = Image.new("RGB", (480, 480), (127, 127, 127))
    picture.paste((230, 20, 20), (240, 0, 480, 240))  # red stands at the upper right
    file = io.BytesIO()
    picture.save(file, "PNG")
    explanation = inspector.explain(file.getvalue(), textbook_model, 0)
    assert (explanation.method, explanation.bias, explanation.temperature) == (
        "occlusion",
        None,
        None,
    )
    rows, columns = np.unravel_index(explanation.map.argmax(), explanation.map.shape)
    assert (rows < 4, columns >= 4) == (True, True)
    assert abs(explanation.map[5:, :3]).max() < 0.1 * explanation.map.max()


def test_occlusion_in_batches_gives_each_cell_the_fall_of_its_squares(textbook_model):
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    found = occlusion.occlusion_map(textbook_model.session, pixels, 1, 4, NO_ENGINE.check)
    corner = pixels.copy()
    corner[:16, :16] = 127
    both = textbook_model.session.run(np.stack([pixels, corner]))[:, 1]
    odds = np.log(both / (1 - both))
    assert found.shape == (4, 4)
    assert found[0, 0] == pytest.approx(odds[0] - odds[1], abs=1e-4)  # one square covers it


@pytest.mark.parametrize(("run_s", "side"), [(0.001, 8), (0.15, 6), (1.0, 4)])
def test_a_slow_model_gets_a_coarser_grid(run_s, side):
    assert occlusion.cells_per_side(run_s, deadline_s=10) == side


def test_occlusion_gives_up_when_the_deadline_has_passed(textbook_model):
    pixels = np.zeros((32, 32, 3), np.uint8)
    checks = 0

    def check():
        nonlocal checks
        checks += 1
        if checks == 3:
            raise DeadlinePassed("too late")

    with pytest.raises(DeadlinePassed):
        occlusion.occlusion_map(textbook_model.session, pixels, 1, 8, check)
    assert checks == 3


@pytest.mark.parametrize(
    ("label", "index"),
    [(None, None), ("green", 1), ("id-blue", 2), ("GREEN", 1), ("0", 0)],
)
def test_a_label_is_selected_by_name_id_or_index(model, label, index):
    assert label_index(model, label) == index


@pytest.mark.parametrize("label", ["purple", "3", "-1", "", "²"])
def test_an_unknown_label_is_refused(model, label):
    with pytest.raises(NotInModel, match="has no label"):
        label_index(model, label)


def test_the_map_of_a_label_of_a_sigmoid_gives_its_probability_alone(graph):
    tiny = graph(sigmoid=True)
    head = class_activation.centre_head(pooled_head(Graph(tiny)))
    tiny.graph.output.append(onnx.ValueInfoProto(name="normal"))
    session = onnxruntime.InferenceSession(tiny.SerializeToString())
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    probabilities, activation = session.run(["probabilities", "normal"], {"image": image})
    maps = [class_activation.class_map(head, np.moveaxis(activation[0], -1, 0), k) for k in (0, 1)]
    logits = np.mean(maps, axis=(1, 2)) + head.bias[:2]
    assert 1 / (1 + np.exp(-logits)) == pytest.approx(probabilities[0, :2], abs=1e-5)
