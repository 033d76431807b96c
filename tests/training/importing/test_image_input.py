"""Inputs of every kind that ONNX Runtime runs: types, channels, rows, sizes, unknown shapes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from app import vision
from app.runtime.classifier import Query, classify
from app.runtime.loaded_model import load_model
from training.data.photos import LIMITS
from training.packaging import default_golden

RAW = ("--mean", "0", "--std", "1", "--pixel-range", "255")
NUMPY = {
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT16": np.uint16,
    "DOUBLE": np.float64,
    "FLOAT16": np.float16,
}


def _small(dtype, shape, *, layout="nchw", channels=3, size=32):
    """Return a classifier: [Cast, ] [Transpose, ] convolution, mean, linear, softmax."""
    rng = np.random.default_rng(5)
    weights = {
        "w": rng.normal(size=(6, channels, 3, 3)).astype(np.float32) / 300,
        "v": rng.normal(size=(3, 6)).astype(np.float32) * 2,
        "b": rng.normal(size=3).astype(np.float32),
    }
    nodes = [helper.make_node("Cast", ["x"], ["floats"], to=TensorProto.FLOAT)]
    if layout == "nhwc":
        nodes.append(helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]))
    nodes += [
        helper.make_node("Conv", [nodes[-1].output[0], "w"], ["maps"], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "v", "b"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["y"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", getattr(TensorProto, dtype), shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def save(tmp_path):
    def run(model):
        onnx.save(model, tmp_path / "model.onnx")
        return tmp_path / "model.onnx"

    return run


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", NUMPY)
def test_any_type_of_pixels_is_read(save, imported, outputs_of, original, dtype, layout, channels):
    shape = ["N", 3, 32, 32] if layout == "nchw" else ["N", 32, 32, 3]
    file = save(_small(dtype, shape, layout=layout))
    bundle = imported(file, "--channels", channels, normal=RAW)

    def prepare(image):
        ordered = image if channels == "rgb" else image[..., ::-1]
        return (ordered.transpose(2, 0, 1) if layout == "nchw" else ordered)[None].astype(
            NUMPY[dtype]
        )

    assert outputs_of(bundle) == pytest.approx(original(file, prepare), abs=2e-3)


def test_integers_need_no_normalisation(save, imported, run_import, outputs_of, original):
    file = save(_small("UINT8", ["N", 32, 32, 3], layout="nhwc"))
    bundle = imported(file, normal=())
    assert outputs_of(bundle) == pytest.approx(original(file, lambda image: image[None]), abs=1e-5)
    nodes = [node.op_type for node in onnx.load(bundle.model_path("fp32")).graph.node]
    assert nodes.count("Cast") == 2  # the file's own, and one where its input is connected
    result = run_import(file, "--mean", "0.5", "--std", "0.5", "--pixel-range", "1", normal=())
    assert result.exit_code == 2
    assert "it normalises them itself" in result.stderr


@pytest.mark.parametrize(
    "dtype",
    ["INT8", "BOOL", "STRING"],
)
def test_a_type_without_a_meaning_for_pixels_is_refused(save, run_import, dtype):
    result = run_import(save(_small(dtype, ["N", 3, 32, 32])), normal=RAW)
    assert result.exit_code == 2
    assert "Export it with an input of float32 or uint8" in result.stderr


@pytest.mark.parametrize("dtype", ["FLOAT", "UINT8"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_grey_pixels_are_those_of_pillow(save, imported, outputs_of, original, layout, dtype):
    shape = ["N", 1, 32, 32] if layout == "nchw" else ["N", 32, 32, 1]
    file = save(_small(dtype, shape, layout=layout, channels=1))
    normal = ("--mean", "33", "--std", "78", "--pixel-range", "255") if dtype == "FLOAT" else ()
    bundle = imported(file, normal=normal)

    def prepare(image):
        grey = np.asarray(Image.fromarray(image).convert("L"))
        floats = (grey.astype(float) - 33) / 78 if dtype == "FLOAT" else grey
        placed = floats[None, None] if layout == "nchw" else floats[None, :, :, None]
        return placed.astype(np.float32 if dtype == "FLOAT" else np.uint8)

    assert outputs_of(bundle) == pytest.approx(original(file, prepare), abs=1e-5)


def _rows(width):
    """Return logistic regression on rows of pixels, as skl2onnx writes it."""
    rng = np.random.default_rng(2)
    nodes = [
        helper.make_node(
            "LinearClassifier",
            ["x"],
            ["label", "scores"],
            domain="ai.onnx.ml",
            coefficients=(rng.normal(size=3 * width) / 20).tolist(),
            intercepts=[0.1, 0.0, -0.1],
            classlabels_ints=[0, 1, 2],
            multi_class=1,
            post_transform="SOFTMAX",
        ),
        helper.make_node("Normalizer", ["scores"], ["probabilities"], "n", norm="L1"),
    ]
    nodes[1].domain = "ai.onnx.ml"
    graph = helper.make_graph(
        nodes,
        "regression",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 3]),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize(
    ("width", "options", "prepare"),
    [
        (3 * 32 * 32, (), lambda image: image / 255),
        (
            3 * 32 * 32,
            ("--layout", "nchw"),
            lambda image: image.transpose(2, 0, 1) / 255,
        ),
        (32 * 32, (), lambda image: np.asarray(Image.fromarray(image).convert("L")) / 255),
    ],
    ids=["colour", "planes", "grey"],
)
def test_rows_of_pixels_are_read(save, imported, outputs_of, original, width, options, prepare):
    file = save(_rows(width))
    bundle = imported(file, *options, normal=("--mean", "0", "--std", "1", "--pixel-range", "1"))
    expected = original(
        file, lambda image: prepare(image).reshape(1, -1).astype(np.float32), "probabilities"
    )
    assert outputs_of(bundle) == pytest.approx(expected, abs=1e-5)


def test_rows_that_are_no_square_are_refused(save, run_import):
    result = run_import(save(_rows(60)))
    assert result.exit_code == 2
    assert "60 numbers are no picture of equal sides" in result.stderr


@pytest.mark.parametrize(
    ("shape", "layout", "size"),
    [
        ([None] * 4, "nchw", "32"),
        (["b", "c", "h", "w"], "nchw", "32"),
        ([None] * 4, "nhwc", "32"),
        (None, "nchw", "32"),
        ([1, 3, None, 32], "nchw", None),
    ],
)
def test_an_unknown_shape_is_derived_from_the_first_convolution(
    save, imported, outputs_of, original, shape, layout, size
):
    file = save(_small("FLOAT", shape, layout=layout))
    bundle = imported(file, *(("--size", size) if size else ()), normal=RAW)
    turn = (2, 0, 1) if layout == "nchw" else (0, 1, 2)
    expected = original(file, lambda image: image.transpose(turn)[None].astype(np.float32))
    assert outputs_of(bundle) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("size", "options", "filter", "kept"),
    [
        (512, (), Image.Resampling.BICUBIC, 480),
        (600, ("--resample", "bilinear"), Image.Resampling.BILINEAR, 480),
        (500, ("--crop", "0.9", "--resample", "lanczos"), Image.Resampling.LANCZOS, 432),
    ],
)
def test_an_input_beyond_480_is_upscaled_as_by_pillow(
    save, run_import, tmp_path, original, size, options, filter, kept
):
    file = save(_small("FLOAT", ["N", 3, size, size]))
    result = run_import(file, *options, normal=RAW)
    assert result.exit_code == 0, result.output
    assert f"the model reads {size}x{size} pixels: the {kept}x{kept} that Hubel keeps" in (
        result.stdout
    )
    model = load_model(tmp_path / "mine", "cpu")
    data = (default_golden.FOLDER / "rocket.jpg").read_bytes()  # of 480x480 pixels
    actual = classify(data, model, Query(top_k=3), LIMITS).predictions
    start = (480 - kept) // 2
    canvas = Image.fromarray(vision.decode(data, LIMITS).canvas)
    square = canvas.crop((start, start, start + kept, start + kept))
    upscaled = np.asarray(square.resize((size, size), filter), np.float32)
    (expected,) = original(file, lambda image: image.transpose(2, 0, 1)[None], images=[upscaled])
    assert [each.probability for each in sorted(actual, key=lambda p: p.index)] == pytest.approx(
        expected, abs=1e-3
    )


def test_an_input_that_is_no_square_needs_a_fit(save, run_import):
    file = save(_small("FLOAT", ["N", 3, 224, 320]))
    result = run_import(file, normal=RAW)
    assert result.exit_code == 2
    assert "reads 224x320 pixels, which isn't square. Pass --fit stretch" in result.stderr
    result = run_import(file, "--fit", "stretch", "--size", "320x224", normal=RAW)
    assert result.exit_code == 2
    assert "--size is 320x224. Pass --size 224x320." in result.stderr
    result = run_import(file, "--fit", "stretch", "--size", "320x", normal=RAW)
    assert result.exit_code == 2
    assert "HEIGHTxWIDTH" in result.stderr


@pytest.mark.parametrize("fit", ["stretch", "contain"])
@pytest.mark.parametrize(
    ("shape", "layout", "options", "size"),
    [
        (["N", 3, 24, 40], "nchw", (), [24, 40]),
        ([1, 24, 40, 3], "nhwc", (), [24, 40]),
        (["N", 3, "h", "w"], "nchw", ("--size", "24x40"), [24, 40]),
        (["N", 3, 24, "w"], "nchw", ("--size", "24x40"), [24, 40]),
        (["N", 3, 600, 1000], "nchw", (), [288, 480]),
    ],
    ids=["planes", "pixels", "any size", "one side", "upscaled"],
)
def test_an_input_that_is_no_square_is_imported(
    save, imported, original, outputs_of, shape, layout, options, size, fit
):
    file = save(_small("FLOAT", shape, layout=layout))
    bundle = imported(file, "--fit", fit, *options, normal=RAW)
    assert (bundle.manifest.input.fit, list(bundle.manifest.input.size)) == (fit, size)
    if size == [24, 40]:
        pixels = np.random.default_rng(2).integers(0, 256, (2, 24, 40, 3), np.uint8)

        def prepare(image):
            ordered = image.transpose(2, 0, 1) if layout == "nchw" else image
            return ordered[None].astype(np.float32)

        expected = original(file, prepare, images=pixels)
        assert outputs_of(bundle, pixels) == pytest.approx(expected, abs=1e-5)
    model = load_model(bundle.folder, "cpu")
    photo = next(iter(default_golden.find(default_golden.FOLDER))).read_bytes()
    assert sum(classify(photo, model, Query(), LIMITS).probabilities) == pytest.approx(1, abs=1e-4)


def test_rows_that_are_no_square_need_a_size(save, imported, run_import, outputs_of, original):
    file = save(_rows(24 * 40))
    assert "Pass --size as HEIGHTxWIDTH" in run_import(file).stderr
    bundle = imported(file, "--size", "24x40", "--fit", "stretch", normal=RAW)
    assert bundle.manifest.input.size == (24, 40)


def test_a_square_input_may_read_the_whole_photo(saved, imported):
    bundle = imported(saved(), "--fit", "contain")
    assert (bundle.manifest.input.fit, bundle.manifest.input.size) == ("contain", 32)
    assert bundle.manifest.training.arguments["fit"] == "contain"
