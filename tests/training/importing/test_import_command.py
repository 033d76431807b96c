"""`hubel import`: classifiers become bundles with the same predictions as their files."""

import json
import shutil
import time

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from app import vision
from app.bundle import load, verify_files
from app.cli import main
from app.runtime.classifier import Query, classify
from app.runtime.loaded_model import load_model
from app.runtime.ort import open_session
from app.runtime.session import Session
from benchmarks.serving.servers import write_float_model
from training.data.photos import LIMITS

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NORMAL = ("--mean", "0.485,0.456,0.406", "--std", "0.229 0.224 0.225", "--pixel-range", "1")


def _pixels(count=3):
    return np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3), np.uint8)


def _expected(file, pixels, layout="nchw", mean=MEAN, std=STD, white=1.0, dtype=np.float32):
    """Return the file's own output, computed independently of the importer."""
    floats = (pixels.astype(np.float64) / 255 * white - np.array(mean)) / np.array(std)
    if layout == "nchw":
        floats = floats.transpose(0, 3, 1, 2)
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    rows = [session.run(None, {name: each[None].astype(dtype)})[0][0] for each in floats]
    return np.stack(rows).reshape(len(pixels), -1).astype(np.float64)


def _softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _outputs(bundle, pixels, *names):
    session = Session(bundle.model_path("fp32"), "cpu", "fp32")
    return session.outputs_of(names or ["probabilities"], pixels)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize(
    "style",
    [
        pytest.param({}, id="gemm"),
        pytest.param({"linear": "MatMul"}, id="matmul and add, bias first"),
        pytest.param({"linear": "MatMul, bias second"}, id="matmul and add, bias second"),
        pytest.param({"linear": "MatMul, temperature"}, id="logits divided by a temperature"),
        pytest.param({"linear": "Gemm without bias"}, id="gemm without bias"),
        pytest.param({"pool": "ReduceMean"}, id="reduce mean"),
        pytest.param({"pool": "ReduceMean", "opset": 20}, id="reduce mean, opset 20"),
        pytest.param({"pool": "channels last", "flatten": "none"}, id="channels last"),
        pytest.param({"flatten": "Squeeze"}, id="squeeze"),
        pytest.param({"opset": 9}, id="opset 9"),
        pytest.param(
            {"input": "image", "output": "probabilities"}, id="names of the bundle format"
        ),
        *(
            pytest.param({"input": name, "output": other}, id=f"names {name} and {other}")
            for name, other in (("pixels", "logits"), ("planes", "embedding"), ("rows", "pooled"))
        ),
        pytest.param({"batch": 1}, id="batch of one"),
        pytest.param({"batch": 1, "flatten": "Reshape"}, id="batch of one in a reshape"),
        pytest.param({"batch": "N", "flatten": "Reshape"}, id="batch of one, declared free"),
    ],
)
def test_a_bundle_predicts_as_its_file(saved, imported, layout, style):
    file = saved(layout=layout, **style)
    bundle = imported(file)
    pixels = _pixels()
    probabilities, embedding, activation = _outputs(
        bundle, pixels, "probabilities", "embedding", "activation"
    )
    assert probabilities == pytest.approx(_expected(file, pixels, layout), abs=1e-5)
    # explanations are exact if the head is
    weights = {
        t.name: numpy_helper.to_array(t)
        for t in onnx.load(bundle.model_path("fp32")).graph.initializer
    }
    maps = np.einsum("kd,ndhw->nkhw", weights["head.weight"], activation)
    logits = maps.mean(axis=(2, 3)) + weights["head.bias"]
    assert _softmax(logits / weights["temperature"]) == pytest.approx(probabilities, abs=1e-5)
    assert embedding == pytest.approx(activation.mean(axis=(2, 3)), abs=1e-5)


@pytest.mark.parametrize(
    ("mean", "std", "white"),
    [("0", "1", 1), ("0", "1", 255), ("103.939,116.779,123.68", "58", 255), ("0.5", "0.5", 1)],
)
def test_pixels_are_normalised_by_the_options(saved, imported, mean, std, white):
    file = saved(end=None)
    normal = ("--mean", mean, "--std", std, "--pixel-range", str(white))
    bundle = imported(file, "--output-kind", "logits", normal=normal)
    numbers = [[float(each) for each in text.split(",")] for text in (mean, std)]
    expected = _softmax(_expected(file, _pixels(), "nchw", *numbers, white=float(white)))
    assert _outputs(bundle, _pixels())[0] == pytest.approx(expected, abs=1e-4)


def test_channels_may_be_bgr(saved, imported):
    file = saved()
    bundle = imported(file, "--channels", "bgr")
    expected = _expected(file, _pixels()[..., ::-1])
    assert _outputs(bundle, _pixels())[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("end", "kind", "to_probabilities"),
    [
        ("Softmax", (), lambda rows: rows),
        ("LogSoftmax", (), np.exp),
        (None, ("--output-kind", "logits"), _softmax),
    ],
)
def test_logits_and_probabilities_are_distinguished(saved, imported, end, kind, to_probabilities):
    file = saved(end=end)
    bundle = imported(file, *kind)
    assert _outputs(bundle, _pixels())[0] == pytest.approx(
        to_probabilities(_expected(file, _pixels())), abs=1e-5
    )


def test_probabilities_without_a_softmax_are_kept(saved, imported):
    def normalised(model):  # exponentials divided by their sum
        last = model.graph.node[-1]
        power = helper.make_node("Exp", [last.input[0]], ["power"])
        total = helper.make_node("ReduceL1", ["power"], ["total"], axes=[1], keepdims=1)
        last.CopyFrom(helper.make_node("Div", ["power", "total"], [last.output[0]]))
        model.graph.node.insert(len(model.graph.node) - 1, power)
        model.graph.node.insert(len(model.graph.node) - 1, total)

    file = saved(normalised, end=None)
    bundle = imported(file, "--output-kind", "probabilities")
    assert _outputs(bundle, _pixels())[0] == pytest.approx(_expected(file, _pixels()), abs=1e-5)
    outputs = Session(bundle.model_path("fp32"), "cpu", "fp32").outputs
    assert set(outputs) == {"probabilities"}  # no pooled linear head was matched


def _without_head(bundle):
    return "activation" not in Session(bundle.model_path("fp32"), "cpu", "fp32").outputs


def test_a_head_with_int8_weights_is_kept_as_it_is(saved, imported):
    file = saved(linear="int8 weight")
    bundle = imported(file)  # ONNX Runtime runs it as MatMulNBits, which a float head differs from
    assert _outputs(bundle, _pixels())[0] == pytest.approx(_expected(file, _pixels()), abs=1e-5)
    assert _without_head(bundle)


def test_a_head_that_rounds_its_embedding_is_kept_as_it_is(saved, imported):
    def rounded(model):  # a float head in its place would give other probabilities
        scale = numpy_helper.from_array(np.array(0.3, np.float32), "scale")
        model.graph.initializer.append(scale)
        index, linear = next((i, n) for i, n in enumerate(model.graph.node) if n.op_type == "Gemm")
        model.graph.node.insert(
            index, helper.make_node("DequantizeLinear", ["integers", "scale"], ["rounded"])
        )
        model.graph.node.insert(
            index, helper.make_node("QuantizeLinear", [linear.input[0], "scale"], ["integers"])
        )
        linear.input[0] = "rounded"

    file = saved(rounded)
    bundle = imported(file)
    assert _outputs(bundle, _pixels())[0] == pytest.approx(_expected(file, _pixels()), abs=1e-5)
    assert _without_head(bundle)


def test_a_float16_graph_is_imported(saved, imported):
    file = saved(dtype="float16")
    bundle = imported(file)
    expected = _expected(file, _pixels(), dtype=np.float16)
    assert _outputs(bundle, _pixels())[0] == pytest.approx(expected, abs=2e-3)


def test_external_weights_are_included(saved, imported, tmp_path):
    file = saved()
    (tmp_path / "split").mkdir()
    split_file = tmp_path / "split" / "model.onnx"
    onnx.save(
        onnx.load(file),
        split_file,
        save_as_external_data=True,
        size_threshold=0,
        location="weights",
    )
    bundle = imported(split_file)
    assert _outputs(bundle, _pixels())[0] == pytest.approx(_expected(file, _pixels()), abs=1e-5)
    assert "weights" not in {path.name for path in bundle.folder.iterdir()}


def test_weights_listed_as_inputs_are_ignored(saved, imported):
    def listed(model):
        model.graph.input.extend(
            helper.make_tensor_value_info(t.name, t.data_type, t.dims)
            for t in model.graph.initializer
        )

    bundle = imported(saved(listed))
    assert list(Session(bundle.model_path("fp32"), "cpu", "fp32").inputs) == ["image"]


def test_a_dummy_input_is_left_out_with_a_note(saved, run_import):
    def dummy(model):
        model.graph.input.append(helper.make_tensor_value_info("phase", TensorProto.FLOAT, [1]))

    result = run_import(saved(dummy))
    assert result.exit_code == 0, result.output
    assert "input 'phase' is a dummy: nothing reads it, it is left out" in result.stdout


def test_the_bundle_serves_and_records_its_origin(saved, imported, photo, tmp_path):
    bundle = imported(saved(), "--name", "mine", "--version", "4", "--crop", "0.875")
    result = classify(photo("red"), load_model(bundle.folder, "cpu"), Query(), LIMITS)
    assert (result.model, result.version, result.decision) == ("mine", 4, None)
    assert {p.label for p in result.predictions} == {"red", "green", "blue"}
    manifest = bundle.manifest
    assert (manifest.input.size, manifest.input.crop, manifest.metrics) == (32, 0.875, {})
    arguments = manifest.training.arguments
    assert (manifest.training.recipe, arguments["model"], arguments["layout"]) == (
        "import",
        "model.onnx",
        "nchw",
    )
    assert str(tmp_path) not in (bundle.folder / "bundle.json").read_text()
    assert "(pixel / 255 - mean) / std" in (bundle.folder / "README.md").read_text()
    assert len(manifest.golden.photos) == 4


def _resize(model, dims):
    for dim, value in zip(model.graph.input[0].type.tensor_type.shape.dim, dims, strict=True):
        dim.Clear()
        if isinstance(value, int):
            dim.dim_value = value
        elif value:
            dim.dim_param = value


def _two_outputs(model):
    model.graph.output.append(helper.make_tensor_value_info("t1", TensorProto.FLOAT, None))


def _two_inputs(model):
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1, 3]))
    last = model.graph.node[-1]
    last.CopyFrom(helper.make_node("Add", [last.input[0], "more"], [last.output[0]]))


def _without_input(model):
    first = model.graph.node[0]
    shape = [1, 3, 32, 32]
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), "nothing"))
    first.input[0] = "nothing"


def _ignoring_the_image(model):
    zero = numpy_helper.from_array(np.zeros((6, 3, 5, 5), np.float32), "filters")
    model.graph.initializer[0].CopyFrom(zero)


def _unnamed(model):
    model.graph.input[0].name = ""
    model.graph.node[0].input[0] = ""


def _integers(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT8


def _of_any_shape(model):
    """Hide layout and size, and the convolution that would show the layout."""
    _resize(model, [None] * 4)
    first = model.graph.node[0]
    model.graph.node.insert(0, helper.make_node("Relu", [first.input[0]], ["positive"]))
    model.graph.node[1].input[0] = "positive"


def _two_fitting_outputs(model):
    logits = model.graph.node[-1].input[0]
    model.graph.output.append(helper.make_tensor_value_info(logits, TensorProto.FLOAT, ["N", 3]))


def _mixing_the_batch(model):
    """Make each picture's logits depend on the others of its batch."""
    last = model.graph.node[-1]
    mean = helper.make_node("ReduceMean", [last.input[0]], ["common"], axes=[0], keepdims=1)
    half = helper.make_node("Mul", ["common", "half"], ["shared"])
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), "half"))
    last.CopyFrom(helper.make_node("Sub", [last.input[0], "shared"], [last.output[0]]))
    model.graph.node.insert(len(model.graph.node) - 1, mean)
    model.graph.node.insert(len(model.graph.node) - 1, half)


@pytest.mark.parametrize(
    ("change", "style", "options", "words"),
    [
        (_of_any_shape, {}, ["--size", "32"], "Pass --layout nchw or --layout nhwc"),
        (lambda m: _resize(m, [1, 3, "h", "w"]), {}, [], "of any size. Pass --size"),
        (None, {}, ["--size", "224"], "reads 32x32 pixels, and --size is 224. Pass --size 32"),
        (None, {}, ["--layout", "nhwc"], "is [?, 3, 32, 32], which is not nhwc"),
        (lambda m: _resize(m, [1, 3, 32, 40]), {}, [], "which isn't square. Pass --fit stretch"),
        (lambda m: _resize(m, [1, 4, 32, 32]), {}, [], "no dimension has the three channels"),
        (lambda m: _resize(m, [1, 3, 5000, 5000]), {}, [], "8 to 4096 are served"),
        (None, {}, ["--output-kind", "logits"], "ends with a Softmax"),
        (None, {"end": "Sigmoid"}, ["--task", "single_label"], "ends with a Sigmoid for each"),
        (None, {"end": "Sigmoid"}, ["--output-kind", "logits"], "Leave out --output-kind"),
        (None, {}, ["--task", "multi_label"], "Leave out --task multi_label"),
        (None, {"end": None}, ["--output-kind", "probabilities"], "Pass --output-kind logits"),
        (_two_fitting_outputs, {"end": None}, [], "has 2 outputs: 'output' and 't4'"),
        (_two_outputs, {}, ["--output-name", "x"], "no output 'x'"),
        (
            _two_outputs,
            {},
            ["--output-name", "t1", "--output-kind", "logits"],
            "is [6, 7, 7] for a",
        ),
        (_two_inputs, {}, [], "has 2 inputs, 'input' and 'more'"),
        (_without_input, {}, [], "nothing reads its input 'input'"),
        (
            _ignoring_the_image,
            {},
            [],
            "gives the same for every picture. Check that its input 'input'",
        ),
        (_unnamed, {}, [], "an input or an output without a name"),
        (_integers, {}, [], "is int8, which has no usual meaning for pixels"),
        (
            None,
            {"classes": 4},
            [],
            "has 4 classes and the label file has 3 labels. Some models have",
        ),
        (None, {"classes": 2}, [], "has 2 classes and the label file has 3 labels. Name a file"),
    ],
)
def test_a_property_that_cannot_be_derived_is_requested(
    saved, run_import, tmp_path, change, style, options, words
):
    result = run_import(saved(change, **style), *options)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "mine").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_pictures_that_change_each_other_are_run_one_at_a_time(saved, run_import, tmp_path):
    file = saved(_mixing_the_batch, end=None)
    result = run_import(file)
    assert result.exit_code == 0, result.output
    assert "pictures are run one at a time" in result.stdout
    bundle = load(tmp_path / "mine")
    expected = _softmax(_expected(file, _pixels()))  # the file, for one picture at a time
    assert _outputs(bundle, _pixels())[0] == pytest.approx(expected, abs=1e-5)
    load_model(bundle.folder, "cpu", cores=2)


@pytest.mark.parametrize("left_out", ["--mean", "--std", "--pixel-range"])
def test_normalisation_is_never_guessed(saved, run_import, left_out):
    place = NORMAL.index(left_out)
    result = run_import(saved(), normal=NORMAL[:place] + NORMAL[place + 2 :])
    assert result.exit_code == 2
    assert "Give --mean, --std and --pixel-range" in result.stderr


@pytest.mark.parametrize(
    ("normal", "words"),
    [
        (("--mean", "a", "--std", "1", "--pixel-range", "1"), "is not three numbers"),
        (("--mean", "1,2", "--std", "1", "--pixel-range", "1"), "is not three numbers"),
        (("--mean", "nan", "--std", "1", "--pixel-range", "1"), "is not three numbers"),
        (("--mean", "0", "--std", "1,0,1", "--pixel-range", "1"), "--std must be over 0"),
    ],
)
def test_wrong_normalisation_is_refused(saved, run_import, normal, words):
    result = run_import(saved(), normal=normal)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.fixture
def labelled(tmp_path, photo):
    """Photos of three colours, in a folder for each, and a broken one."""
    rng = np.random.default_rng(3)
    for hue, place in (("red", 0), ("green", 1), ("blue", 2)):
        (tmp_path / "photos" / hue).mkdir(parents=True)
        for index in range(8):
            colour = rng.integers(0, 90, 3)
            colour[place] = rng.integers(160, 256)
            content = photo(tuple(colour.tolist()), (64, 64))
            (tmp_path / "photos" / hue / f"{index}.jpg").write_bytes(content)
    (tmp_path / "photos" / "red" / "broken.jpg").write_bytes(b"no photo")
    return tmp_path / "photos"


def test_photos_calibrate_and_measure_the_bundle(saved, run_import, labelled, tmp_path):
    file = saved(end=None)
    result = run_import(
        file, "--output-kind", "logits", "--calibrate", labelled, "--int8", labelled
    )
    assert result.exit_code == 0, result.output
    assert "red/broken.jpg is skipped" in result.stdout
    assert "int8 is left out: there are fewer than 300 photos" in result.stdout
    bundle = load(tmp_path / "mine")
    verify_files(bundle)
    manifest = bundle.manifest
    assert manifest.metrics["fp32"].images == manifest.calibration.images == 24
    assert manifest.training.arguments["calibrate"] == "photos"
    (actual,) = _outputs(bundle, _pixels())
    logits = _expected(file, _pixels())
    assert actual == pytest.approx(_softmax(logits / manifest.calibration.temperature), abs=1e-5)
    assert manifest.calibration.temperature != pytest.approx(1, abs=0.01)
    assert all("photos/" in photo.source for photo in manifest.golden.photos)
    assert "Without the temperature" in (bundle.folder / "report" / "index.html").read_text("utf-8")
    model = load_model(bundle.folder, "cpu")
    rows = np.stack(
        [
            vision.resize(vision.decode(file.read_bytes(), LIMITS), manifest.input)
            for file in sorted(labelled.rglob("[0-9].jpg"))
        ]
    )
    (embeddings,) = model.session.outputs_of(["embedding"], rows)
    baseline = manifest.embedding_baseline("fp32")
    assert baseline is not None
    assert baseline.mean == pytest.approx(embeddings.mean(axis=0), rel=1e-4)
    assert baseline.variance == pytest.approx(embeddings.var(axis=0, ddof=1).sum(), rel=1e-3)


def test_too_few_photos_for_a_temperature_are_refused(saved, run_import, labelled):
    for photo in labelled.rglob("?.jpg"):
        if int(photo.stem) >= 3:
            photo.unlink()
    result = run_import(saved(), "--calibrate", labelled)
    assert result.exit_code == 2
    assert "photos has 9 photos that can be used, and a temperature needs 10" in result.stderr


def test_a_folder_without_a_label_is_named(saved, run_import, labelled):
    shutil.move(labelled / "red", labelled / "crimson")
    result = run_import(saved(), "--calibrate", labelled)
    assert result.exit_code == 2
    assert "'crimson'" in result.stderr


def test_an_output_folder_that_is_no_bundle_is_kept(saved, run_import, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    result = run_import(saved())
    assert result.exit_code == 2
    assert "exists and is not a bundle" in result.stderr


@pytest.fixture
def imagenet_labels(tmp_path, imagenet):
    """A file of the default model's labels."""
    file = tmp_path / "labels.json"
    names = {i: [label.id, label.name] for i, label in enumerate(load(imagenet).manifest.labels)}
    file.write_text(json.dumps(names))
    return file


def _cpu_s(session, feed):
    began = time.thread_time()  # one thread runs the graph: the caller's
    session.run(["probabilities"], feed)
    return time.thread_time() - began


def _read_pixels_last(file):
    """Give a file whose input is NCHW the layout NHWC."""
    model = onnx.load(file)
    (image,) = model.graph.input
    size = image.type.tensor_type.shape.dim[2].dim_value
    first = helper.make_node("Transpose", ["pixels_last"], [image.name], perm=[0, 3, 1, 2])
    model.graph.node.insert(0, first)
    model.graph.ClearField("input")
    shape = ["N", size, size, 3]
    model.graph.input.append(helper.make_tensor_value_info("pixels_last", TensorProto.FLOAT, shape))
    onnx.save(model, file)


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_normalisation_is_a_small_share_of_a_run(
    tmp_path, imagenet_labels, imagenet, layout, channels
):
    file = tmp_path / "lite0.onnx"
    write_float_model(file)
    if layout == "nhwc":
        _read_pixels_last(file)
    command = ["import", file, "--labels", imagenet_labels, "--channels", channels]
    command += ["--mean", "123.7,116.3,103.5", "--std", "58.4,57.1,57.4", "--pixel-range", "255"]
    command += ["--size", "240", "--output-kind", "logits", "--output", tmp_path / "again"]
    result = CliRunner().invoke(main, [*map(str, command)])
    assert result.exit_code == 0, result.output
    pixels = np.random.default_rng(0).integers(0, 256, (1, 240, 240, 3), np.uint8)
    # the default model normalises by one DequantizeLinear, in a fiftieth of its run
    wrapped, reference = (
        open_session(load(folder).model_path("fp32"), threads=1)
        for folder in (tmp_path / "again", imagenet)
    )
    feed = {"image": pixels}
    turns = [_cpu_s(wrapped, feed) / _cpu_s(reference, feed) for _ in range(40)]
    assert np.median(turns) < 1.15


def test_the_default_model_without_its_ends_is_imported_with_the_same_outputs(
    tmp_path, imagenet_labels, imagenet
):
    write_float_model(tmp_path / "lite0.onnx")
    command = ["import", tmp_path / "lite0.onnx", "--labels", imagenet_labels]
    command += ["--mean", "127", "--std", "128", "--pixel-range", "255", "--size", "240"]
    command += ["--output-kind", "logits", "--output", tmp_path / "again"]
    result = CliRunner().invoke(main, [*map(str, command)])
    assert result.exit_code == 0, result.output
    again, first = load(tmp_path / "again"), load(imagenet)
    assert again.manifest.labels == first.manifest.labels
    sessions = [Session(each.model_path("fp32"), "cpu", "fp32") for each in (again, first)]
    for photo in first.manifest.golden.photos:
        picture = vision.decode(first.path(photo.file).read_bytes(), LIMITS)
        pixels = vision.resize(picture, first.manifest.input)[None]
        names = ("probabilities", "embedding", "activation")
        actual, expected = (session.outputs_of(names, pixels) for session in sessions)
        for array, reference in zip(actual, expected, strict=True):
            assert array == pytest.approx(reference, abs=1e-4)
