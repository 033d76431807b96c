"""Presets, the options that replace them, and warnings of a normalisation that can't be right."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.cli.import_ import PRESETS as NAMES
from training.importing import normalization_check
from training.importing.presets import PRESETS


def test_the_command_line_offers_every_preset():
    assert tuple(PRESETS) == NAMES


@pytest.mark.parametrize("preset", NAMES)
def test_a_preset_states_mean_std_range_and_channels(saved, imported, outputs_of, original, preset):
    file = saved(end=None)
    bundle = imported(file, "--preset", preset, "--output-kind", "logits", normal=())
    convention = PRESETS[preset]

    def prepare(image):
        ordered = image if convention.channels == "rgb" else image[..., ::-1]
        scaled = ordered / 255 * convention.pixel_range
        floats = (scaled - np.array(convention.mean)) / np.array(convention.std)
        return floats.transpose(2, 0, 1)[None].astype(np.float32)

    logits = original(file, prepare)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = powers / powers.sum(axis=1, keepdims=True)
    assert outputs_of(bundle) == pytest.approx(expected, abs=1e-3)
    spec = bundle.manifest.input
    assert (spec.crop, spec.resample) == (convention.crop, convention.resample)
    assert bundle.manifest.training.arguments["preset"] == preset


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--crop", "0.9"), "--crop 0.9 replaces the preset's 0.875"),
        (("--resample", "lanczos"), "--resample lanczos replaces the preset's bilinear"),
        (("--channels", "bgr"), "--channels bgr replaces the preset's rgb"),
        (("--mean", "0.5"), "--mean 0.5 replaces the preset's 0.485,0.456,0.406"),
        (("--std", "0.1,0.2,0.3"), "--std 0.1,0.2,0.3 replaces the preset's 0.229,0.224,0.225"),
    ],
)
def test_an_option_replaces_a_value_of_the_preset_and_it_is_said(saved, run_import, options, line):
    result = run_import(saved(), "--preset", "torchvision", *options, normal=())
    assert result.exit_code == 0, result.output
    assert line in result.stdout.splitlines()
    assert "preset torchvision: (pixel / 255 - " in result.stdout


def test_an_option_that_repeats_the_preset_is_not_mentioned(saved, run_import):
    result = run_import(saved(), "--preset", "torchvision", "--crop", "0.875", normal=())
    assert "replaces" not in result.stdout


@pytest.mark.parametrize(
    ("metadata", "channels", "mean", "white"),
    [
        ({}, "bgr", 0, 255),
        ({"Image.BitmapPixelFormat": "Rgb8"}, "rgb", 0, 255),
        ({"Image.NominalPixelRange": "Normalized_0_1"}, "bgr", 0, 1),
        ({"Image.NominalPixelRange": "Normalized_1_1"}, "bgr", 127.5, 255),
    ],
)
def test_custom_vision_reads_the_metadata_of_the_file(
    saved, imported, metadata, channels, mean, white
):
    def state(model):
        helper.set_model_props(model, metadata)

    arguments = imported(
        saved(state), "--preset", "custom-vision", normal=()
    ).manifest.training.arguments
    assert arguments["channels"] == channels
    assert (arguments["mean"], arguments["pixel_range"]) == ([mean] * 3, white)


@pytest.mark.parametrize(
    ("normal", "words"),
    [
        (("123.675,116.28,103.53", "58.4", "1"), "--mean 123.675 is beyond --pixel-range 1"),
        (("127.5", "127.5", "1"), "--mean 127.5 is beyond --pixel-range 1"),
        (("0", "58.4", "1"), "black and white are 0.017 apart"),
        (("0.485,0.456,0.406", "0.229,0.224,0.225", "255"), "and 2 to 255 are usual"),
        (("0.5", "0.5", "255"), "Check --pixel-range: it may be 1"),
        (("-0.5", "0.5", "1"), "--mean -0.5 is negative"),
        (("103.939,116.779,123.68", "1", "255"), "--mean is in the order of BGR"),
        (("0.406,0.456,0.485", "0.225,0.224,0.229", "1"), "it may be bgr"),
    ],
)
def test_impossible_numbers_are_warned_of(saved, run_import, normal, words):
    mean, std, white = normal
    result = run_import(saved(), normal=("--mean", mean, "--std", std, "--pixel-range", white))
    assert result.exit_code == 0, result.output
    warnings = [line for line in result.stdout.splitlines() if line.startswith("warning: ")]
    assert any(words in warning for warning in warnings)


def test_the_order_of_mean_is_compared_with_channels(saved, run_import):
    result = run_import(saved(), "--channels", "bgr")
    assert "warning: --mean is in the order of RGB, and with --channels bgr" in result.stdout


@pytest.mark.parametrize(
    "options",
    [
        ("--preset", "torchvision"),
        ("--preset", "keras-tf"),
        ("--preset", "keras-caffe"),
        ("--preset", "openclip"),
        ("--mean", "0", "--std", "1", "--pixel-range", "1"),
        ("--mean", "0", "--std", "1", "--pixel-range", "255"),
        ("--mean", "0", "--std", "0.0039215686", "--pixel-range", "1"),
        ("--mean", "123.675,116.28,103.53", "--std", "58.395,57.12,57.375", "--pixel-range", "255"),
    ],
    ids=" ".join,
)
def test_usual_numbers_are_not_warned_of(saved, run_import, options):
    result = run_import(saved(), normal=options)
    assert not [line for line in result.stdout.splitlines() if "--pixel-range" in line]


def _with_batch_normalization(mean, variance):
    def change(model):
        values = {"gamma": np.ones(6), "beta": np.zeros(6)}
        values |= {"running.mean": np.full(6, mean), "running.var": np.full(6, variance)}
        model.graph.initializer.extend(
            numpy_helper.from_array(value.astype(np.float32), name)
            for name, value in values.items()
        )
        place = next(i for i, n in enumerate(model.graph.node) if n.op_type == "Conv")
        convolution = model.graph.node[place]
        output = convolution.output[0]
        convolution.output[0] = "convolved"
        node = helper.make_node("BatchNormalization", ["convolved", *values], [output])
        model.graph.node.insert(place + 1, node)

    return change


@pytest.mark.parametrize(
    ("mean", "variance", "is_odd"),
    [(0, 4, False), (0.5, 1, False), (-60, 4, True), (0, 1e6, True), (0, 1e-4, True)],
)
def test_the_first_layer_is_compared_with_its_stored_statistics(
    saved, run_import, mean, variance, is_odd
):
    result = run_import(saved(_with_batch_normalization(mean, variance)))
    assert result.exit_code == 0, result.output
    assert ("warning: on photos, the first layer's outputs are" in result.stdout) == is_odd


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[0.3333, 0.6667], [0.3331, 0.6669], [0.3330, 0.6670]], "differ by 0.0003 at most"),
        ([[0.99999, 0.00001], [0.00002, 0.99998]], "is certain (over 0.9999) about all"),
        ([[0.99999, 0.00001], [0.2, 0.8]], None),
        ([[0.3, 0.7], [0.4, 0.6]], None),
    ],
)
def test_predictions_that_do_not_depend_on_the_photo_are_warned_of(rows, words):
    warnings = normalization_check.of_predictions(np.array(rows))
    assert [words in warning for warning in warnings] == ([] if words is None else [True])


def test_a_bundle_is_made_in_spite_of_a_warning(saved, imported):
    normal = ("--mean", "2", "--std", "0.2", "--pixel-range", "1")
    assert onnx.load(imported(saved(), normal=normal).model_path("fp32")).graph.input[
        0
    ].type.tensor_type.elem_type == (TensorProto.UINT8)
