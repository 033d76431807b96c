"""The classification of one photo, and batches, in which each caller gets its own result."""

import io

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app import vision
from app.errors import BrokenImage, BundleMismatch, NotAnImage
from app.runtime.classifier import Classifier, Query, classify, top
from app.runtime.decision import UnknownScore
from app.runtime.engine import Engine, Turn
from app.runtime.loaded_model import load_model

LIMITS = vision.Limits(max_bytes=10_000_000, max_pixels=10_000_000)


@pytest.fixture(scope="module")
def built_in(imagenet):
    return load_model(imagenet, "cpu")


def test_the_most_probable_label_comes_first(model, photo):
    result = classify(photo((20, 120, 230)), model, Query(), LIMITS)
    assert [p.label for p in result.predictions] == ["blue", "green", "red"]
    probabilities = [p.probability for p in result.predictions]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-6)
    assert all(
        result.probabilities[p.index] == np.float32(p.probability) for p in result.predictions
    )


@pytest.mark.parametrize(("top_k", "count"), [(1, 1), (2, 2), (3, 3), (4, 3), (10**30, 3)])
def test_there_are_at_most_top_k_predictions(model, photo, top_k, count):
    assert len(classify(photo("red"), model, Query(top_k), LIMITS).predictions) == count


def test_labels_below_the_least_probability_are_left_out(model):
    probabilities = np.array([0.25, 0.5, 0.25], np.float32)

    def labels(least):
        return [p.label for p in top(probabilities, model, Query(5, least))]

    assert labels(0.25) == ["green", "red", "blue"]
    assert labels(0.26) == ["green"]
    assert labels(0.51) == []


def test_ties_are_ordered_by_index(model):
    third = np.full(3, 1 / 3, np.float32)
    assert [p.index for p in top(third, model, Query(2))] == [0, 1]


def test_a_photo_that_is_the_only_job_runs_on_all_cores(model, photo, monkeypatch):
    all_cores_flags = []
    run = type(model).run
    monkeypatch.setattr(
        type(model),
        "run",
        lambda *args, all_cores: (
            all_cores_flags.append(all_cores) or run(*args, all_cores=all_cores)
        ),
    )
    with Engine(threads=1, deadline_s=30) as engine:
        classifier = Classifier(engine, LIMITS)
        for photos in (1, 3):
            jobs = classifier.jobs([photo("red")] * photos, model, Query())
            for future in engine.submit(*jobs):
                future.result(30)
    assert all_cores_flags == [True, False, False, True]


def test_the_result_holds_format_size_and_timings(model):
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(file, "PNG")
    turn = Turn()
    turn.queue_s = 1.5
    result = classify(file.getvalue(), model, Query(), LIMITS, turn)
    assert (result.format, result.width, result.height) == ("png", 30, 20)
    assert (result.model, result.version, result.decision) == ("colours", 1, None)
    stages = result.stages
    assert stages.queue_s == 1.5
    assert min(stages.decode_s, stages.resize_s, stages.run_s) > 0


def test_familiarity_comes_from_the_graph_and_its_threshold_from_the_bundle(
    make_bundle, rewrite, graph, photo
):
    folder = make_bundle().folder
    model = graph()
    maximum = onnx.helper.make_node("ReduceMax", ["embedding"], ["familiarity"], keepdims=0)
    maximum.attribute.append(onnx.helper.make_attribute("axes", [1]))
    model.opset_import[0].version = 17
    for node in model.graph.node:
        if node.op_type == "ReduceMean":
            del node.input[1:]
            node.attribute.append(onnx.helper.make_attribute("axes", [1, 2]))
    model.graph.node.append(maximum)
    floats = onnx.TensorProto.FLOAT
    model.graph.output.append(onnx.helper.make_tensor_value_info("familiarity", floats, ["N"]))
    onnx.save(model, folder / "model.onnx")
    rewrite(folder, {"unknown": {"score": "familiarity", "threshold": 0.5, "accepts": 0.95}})
    loaded = load_model(folder, "cpu")
    bright = classify(photo("red"), loaded, Query(), LIMITS)
    dull = classify(photo((150, 120, 120)), loaded, Query(), LIMITS)
    assert (bright.decision, dull.decision) == ("accepted", "unknown")
    assert dull.predictions[0].label == "red"
    assert dull.unknown == UnknownScore("familiarity", dull.familiarity, 0.5)
    assert dull.familiarity < 0.5 <= bright.familiarity
    low = classify(photo((150, 120, 120)), loaded, Query(unknown_threshold=-1.0), LIMITS)
    assert (low.decision, low.unknown.threshold) == ("accepted", -1.0)
    high = classify(photo("red"), loaded, Query(unknown_threshold=2.0), LIMITS)
    assert high.decision == "unknown"


def test_a_threshold_of_familiarity_without_that_output_is_refused(make_bundle, rewrite):
    folder = make_bundle().folder
    rewrite(folder, {"unknown": {"score": "familiarity", "threshold": 0.5, "accepts": 0.95}})
    with pytest.raises(BundleMismatch, match="a threshold for familiarity"):
        load_model(folder, "cpu")


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 5))
def test_a_batched_run_equals_single_runs(shared_session, seed, count):
    images = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)
    batched = shared_session.run(images)
    single = np.concatenate([shared_session.run(image[np.newaxis]) for image in images])
    assert batched.shape == (count, 3)
    np.testing.assert_allclose(batched, single, atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def shared_session(tmp_path_factory, graph):
    import onnx

    from app.runtime.session import Session

    file = tmp_path_factory.mktemp("graph") / "model.onnx"
    onnx.save(graph(), file)
    return Session(file, "cpu", "fp32")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_batched_run_of_the_built_in_model_equals_single_runs(imagenet, precision):
    from app import bundle as bundles
    from app.runtime.session import Session

    bundle = bundles.load(imagenet)
    if precision not in bundle.manifest.precisions:
        pytest.skip(f"the built-in bundle has no {precision}")
    session = Session(bundle.model_path(precision), "cpu", precision)
    images = np.stack(
        [
            vision.resize(
                vision.decode(bundle.path(photo.file).read_bytes(), LIMITS),
                bundle.manifest.input,
            )
            for photo in bundle.manifest.golden.photos
        ]
    )
    single = np.concatenate([session.run(image[np.newaxis]) for image in images])
    np.testing.assert_allclose(session.run(images), single, atol=1e-5, rtol=0)
    np.testing.assert_allclose(single.sum(axis=1), 1, atol=1e-5)


def by_hand_resized(image, spec):
    """Resize the centre square with Pillow's filter; box by a whole factor is each block's mean."""
    side = round(spec.crop * 480)
    edge = (480 - side) / 2
    if spec.resample == "box" and side % spec.size == 0:
        factor, start = side // spec.size, int(edge)
        square = np.asarray(image, np.uint32)[start : start + side, start : start + side]
        blocks = square.reshape(spec.size, factor, spec.size, factor, 3).sum(axis=(1, 3))
        return ((blocks + factor**2 // 2) // factor**2).astype(np.uint8)
    filters = {"box": 4, "bilinear": 2, "bicubic": 3, "lanczos": 1}
    box = (edge, edge, 480 - edge, 480 - edge)
    filter = Image.Resampling(filters[spec.resample])
    return np.asarray(image.resize((spec.size, spec.size), filter, box))


def test_classification_equals_decoding_resizing_and_running_by_hand(imagenet, built_in):
    """A 480 x 480 JPEG: Pillow's own decode, crop and resize, then ONNX Runtime's own session."""
    data = (imagenet / "golden/rocket.jpg").read_bytes()
    spec = built_in.manifest.input
    image = Image.open(io.BytesIO(data))
    assert (image.size, image.mode) == ((480, 480), "RGB")
    pixels = by_hand_resized(image, spec)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # as on any processor
    session = ort.InferenceSession(built_in.bundle.model_path(built_in.session.precision), options)
    (by_hand,) = session.run(["probabilities"], {"image": pixels[np.newaxis]})
    result = classify(data, built_in, Query(), LIMITS)
    np.testing.assert_allclose(result.probabilities, by_hand[0], atol=1e-5, rtol=0)
    best = result.predictions[0]
    assert best.index == by_hand[0].argmax()
    assert best.label == built_in.manifest.labels[best.index].name == "missile"


def test_photos_submitted_together_each_get_their_own_result(model, photo):
    colours = ["red", "green", "blue", "green", "red", "blue"] * 4
    with Engine(threads=3, deadline_s=30) as engine:
        jobs = Classifier(engine, LIMITS).jobs([photo(c) for c in colours], model, Query(1))
        futures = engine.submit(*jobs)
        assert [f.result(30).predictions[0].label for f in futures] == colours


def test_a_photo_that_cannot_be_used_fails_alone(model, photo):
    with Engine(threads=2, deadline_s=30) as engine:
        broken = photo("red")[:300]
        jobs = Classifier(engine, LIMITS).jobs(
            [photo("red"), b"text", broken, photo("blue")], model, Query(1)
        )
        futures = engine.submit(*jobs)
        assert isinstance(futures[1].exception(30), NotAnImage)
        assert isinstance(futures[2].exception(30), BrokenImage)
        labels = [futures[i].result(30).predictions[0].label for i in (0, 3)]
    assert labels == ["red", "blue"]
