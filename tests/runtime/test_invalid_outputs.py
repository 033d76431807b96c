"""A model's NaN and infinity: an error for the photo at fault, and for no other."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app import vision
from app.errors import BundleMismatch, ModelOutputInvalid
from app.runtime import loaded_model
from app.runtime.classifier import Query, classify
from app.runtime.inspection import Inspector
from app.runtime.loaded_model import Model, load_model
from app.runtime.session import Session

LIMITS = vision.Limits(10_000_000, 50_000_000)
SIZE = 32
GREYS = {"white": (255, 255, 255), "grey": (127, 127, 127), "black": (0, 0, 0)}


def image(*rgb):
    return np.full((SIZE, SIZE, 3), rgb, np.uint8)


@pytest.fixture
def model(make_bundle, contrast):
    return load_model(make_bundle(graph=contrast()).folder, "cpu")


@pytest.mark.parametrize("grey", GREYS)
def test_nan_is_an_error_that_names_the_model(model, photo, grey):
    with pytest.raises(ModelOutputInvalid, match=r"Model 'colours' version 1 returned NaN or inf"):
        classify(photo(GREYS[grey]), model, Query(), LIMITS)
    assert classify(photo("red"), model, Query(), LIMITS).predictions[0].label == "red"


@pytest.mark.parametrize("output", ["probabilities", "familiarity"])
def test_every_output_of_a_classification_is_checked(make_bundle, rewrite, contrast, photo, output):
    folder = make_bundle(graph=contrast([output])).folder
    rewrite(folder, {"unknown": {"score": "familiarity", "threshold": 0.1, "accepts": 1.0}})
    model = load_model(folder, "cpu")
    assert classify(photo("blue"), model, Query(), LIMITS).decision is not None
    with pytest.raises(ModelOutputInvalid, match=f"as '{output}'"):
        classify(photo(GREYS["grey"]), model, Query(), LIMITS)


def test_an_output_that_a_request_does_not_read_may_be_infinite(make_bundle, contrast, photo):
    model = load_model(make_bundle(graph=contrast(["embedding"])).folder, "cpu")
    assert classify(photo(GREYS["white"]), model, Query(), LIMITS).predictions
    inspector = Inspector(LIMITS, 10)
    assert inspector.embed(photo("red"), model, normalize=False).vector > 0
    with pytest.raises(ModelOutputInvalid, match="as 'embedding'"):
        inspector.embed(photo(GREYS["white"]), model, normalize=False)


def test_an_explanation_with_nan_is_an_error(model, photo):
    inspector = Inspector(LIMITS, 10)
    assert np.isfinite(inspector.explain(photo("red"), model, None).map).all()
    with pytest.raises(ModelOutputInvalid, match="Model 'colours' version 1"):
        inspector.explain(photo(GREYS["white"]), model, None)


def _nan_in_a_layer():
    """Make a graph whose first layer is NaN for grey, and whose output is finite."""
    node = helper.make_node
    nodes = [
        node("DequantizeLinear", ["image", "scale", "zero"], ["normal"]),
        node("Transpose", ["normal"], ["planes"], perm=[0, 3, 1, 2]),
        node("ReduceMean", ["planes", "axes"], ["mean"], keepdims=1),
        node("Sub", ["planes", "mean"], ["centred"]),
        node("Mul", ["centred", "centred"], ["squares"]),
        node("ReduceMean", ["squares", "axes"], ["variance"], keepdims=1),
        node("Div", ["centred", "variance"], ["ratios"]),
        node("Conv", ["ratios", "filters"], ["layer"]),
        node("IsNaN", ["layer"], ["is nan"]),
        node("Where", ["is nan", "zero float", "layer"], ["cleaned"]),
        node("ReduceMean", ["cleaned", "2 3"], ["means"], keepdims=0),
        node("Softmax", ["means"], ["probabilities"], axis=1),
    ]
    constants = {
        "scale": np.float32(1 / 128),
        "zero": np.uint8(127),
        "zero float": np.float32(0),
        "axes": np.array([1, 2, 3]),
        "2 3": np.array([2, 3]),
        "filters": np.eye(3, dtype=np.float32)[:, :, None, None],
    }
    graph = helper.make_graph(
        nodes,
        "conv",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_a_layer_that_holds_nan_is_not_drawn(make_bundle, photo):
    model = load_model(make_bundle(graph=_nan_in_a_layer()).folder, "cpu")
    inspector = Inspector(LIMITS, 10)
    assert inspector.activations(photo("red"), model, None, None).values.shape[0] == 3
    assert classify(photo(GREYS["grey"]), model, Query(), LIMITS).predictions
    with pytest.raises(ModelOutputInvalid, match="as 'layer'"):
        inspector.activations(photo(GREYS["grey"]), model, None, None)


def test_in_a_batch_only_the_photo_at_fault_fails(model):
    batches = loaded_model._batches(model.session, model.bundle)
    together = Model(model.bundle, model.session, batches=batches)
    all_here = threading.Barrier(6)
    colours = [
        (230, 20, 20),
        GREYS["grey"],
        (20, 230, 20),
        GREYS["white"],
        (20, 20, 230),
        (9, 1, 1),
    ]

    def run(rgb):
        all_here.wait(10)
        try:
            return int(together.run(image(*rgb))[0].argmax())
        except ModelOutputInvalid:
            return "invalid"

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(run, colours))
    assert results == [0, "invalid", 1, "invalid", 2, 0]


def test_a_model_is_timed_and_warmed_with_images_for_which_it_returns_nan(model):
    """The timing of int8 and the warm-up of a GPU use plain images, which prove nothing."""
    assert loaded_model._speedup(model) > 0
    loaded_model._batches(model.session, model.bundle)


@pytest.mark.parametrize(
    ("output", "colour"), [("probabilities", "green"), ("familiarity", "red"), ("embedding", "red")]
)
def test_nan_or_infinity_for_a_golden_photo_refuses_the_bundle(
    make_bundle, rewrite, contrast, photo, output, colour
):
    bundle = make_bundle(graph=contrast([output]))
    bundle.path(f"golden/{colour}.jpg").write_bytes(photo(GREYS["white"]))
    rewrite(bundle.folder)
    words = f"Golden photo golden/{colour}.jpg: .* returned NaN or infinity as '{output}'"
    with pytest.raises(BundleMismatch, match=words):
        load_model(bundle.folder, "cpu")


def _ending_with(graph, nodes, constants=()):
    """Return `graph` with other last nodes; its softmax is `p`."""
    graph.graph.node[-1].output[0] = "p"
    graph.graph.node.extend(nodes)
    graph.graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in constants)
    return graph


@pytest.mark.parametrize(
    ("nodes", "constants", "words"),
    [
        (
            [helper.make_node("Identity", ["logits"], ["probabilities"])],
            [],
            r"aren't probabilities: they are from -.* sum to",
        ),
        (
            [helper.make_node("Sigmoid", ["logits"], ["probabilities"])],
            [],
            r"they are from .* sum to .*Export it with a Softmax",
        ),
        (
            [helper.make_node("Mul", ["p", "two"], ["probabilities"])],
            [("two", np.asarray(np.float32(2)))],
            r"and sum to 2\.",
        ),
        (
            [
                helper.make_node("ReduceSum", ["p"], ["sum"], keepdims=0),
                helper.make_node("Mul", ["sum", "two"], ["about two"]),
                helper.make_node("Round", ["about two"], ["exactly two"]),
                helper.make_node("Cast", ["exactly two"], ["repeat"], to=TensorProto.INT64),
                helper.make_node("Reshape", ["repeat", "one"], ["repeat list"]),
                helper.make_node("Concat", ["one", "repeat list"], ["repeats"], axis=0),
                helper.make_node("Tile", ["p", "repeats"], ["probabilities"]),
            ],
            [("two", np.asarray(np.float32(2))), ("one", np.array([1]))],
            r"is \[1, 6\] for golden photo",
        ),
    ],
    ids=["logits", "sigmoid", "twice as much", "more numbers than declared"],
)
def test_outputs_that_are_no_probabilities_refuse_the_bundle(
    make_bundle, graph, nodes, constants, words, rewrite
):
    folder = make_bundle(sharpness=2.0).folder
    onnx.save(_ending_with(graph(2.0), nodes, constants), folder / "model.onnx")
    rewrite(folder)
    with pytest.raises(BundleMismatch, match=words):
        load_model(folder, "cpu")


def test_a_session_without_a_model_names_its_file(tmp_path, contrast):
    onnx.save(contrast(), tmp_path / "trained.onnx")
    session = Session(tmp_path / "trained.onnx", "cpu", "fp32")
    with pytest.raises(
        ModelOutputInvalid, match=r"The fp32 graph trained\.onnx returned NaN"
    ) as info:
        session.run(image(0, 0, 0)[np.newaxis])
    assert info.value.precision == "fp32"
    assert np.isnan(session.unchecked_outputs_of(["probabilities"], image(0, 0, 0)[None])[0]).all()


def test_values_whose_sum_overflows_are_finite(make_bundle):
    session = Session(make_bundle().model_path("fp32"), "cpu", "fp32")
    session.require_finite(["probabilities"], [np.full((1, 10), 3e38, np.float32)])
