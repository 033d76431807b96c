"""Outputs of every kind: logits, probabilities, one number, maps, texts, several of them."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.runtime.session import Session

CASES = Path(__file__).parent / "cases"


def _sigmoid(values):
    return 1 / (1 + np.exp(-values))


def _softmax(rows):
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _both(second):
    return np.hstack([1 - second, second])


@pytest.fixture
def two_labels(labels):
    labels.write_text("no\nyes\n")


def _end(model, *nodes, outputs, constants=()):
    """Replace the last node and the outputs; the nodes read the tensor `logits`."""
    last = model.graph.node.pop()
    model.graph.node.append(helper.make_node("Identity", [last.input[0]], ["logits"]))
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()
    )
    model.graph.ClearField("output")
    for name, kind, shape in outputs:
        model.graph.output.append(helper.make_tensor_value_info(name, kind, shape))


def _logit(model):
    _end(model, outputs=[("logits", TensorProto.FLOAT, ["N", 1])])


def _sigmoid_at_the_end(model):
    node = helper.make_node("Sigmoid", ["logits"], ["p"])
    _end(model, node, outputs=[("p", TensorProto.FLOAT, ["N", 1])])


def _squeezed_sigmoid(model):
    nodes = [
        helper.make_node("Sigmoid", ["logits"], ["column"]),
        helper.make_node("Squeeze", ["column", "one"], ["p"]),
    ]
    outputs = [("p", TensorProto.FLOAT, ["N"])]
    _end(model, *nodes, outputs=outputs, constants={"one": np.array([1])})


def _hidden_sigmoid(model):
    """Compute 1 / (1 + exp(-x)) without a Sigmoid."""
    nodes = [
        helper.make_node("Neg", ["logits"], ["negative"]),
        helper.make_node("Exp", ["negative"], ["power"]),
        helper.make_node("Add", ["power", "one"], ["sum"]),
        helper.make_node("Reciprocal", ["sum"], ["p"]),
    ]
    outputs = [("p", TensorProto.FLOAT, ["N", 1])]
    _end(model, *nodes, outputs=outputs, constants={"one": np.array(1, np.float32)})


@pytest.mark.parametrize(
    ("change", "options", "to_second"),
    [
        (_sigmoid_at_the_end, (), lambda rows: rows),
        (_squeezed_sigmoid, (), lambda rows: rows),
        (_hidden_sigmoid, ("--output-kind", "probabilities"), lambda rows: rows),
        (_logit, ("--output-kind", "logits"), _sigmoid),
    ],
)
def test_one_output_is_a_binary_classifier(
    saved, two_labels, imported, outputs_of, original, change, options, to_second
):
    file = saved(change, end=None, classes=1)
    bundle = imported(file, *options)
    expected = _both(to_second(original(file)))
    assert outputs_of(bundle) == pytest.approx(expected, abs=1e-5)
    assert [label.name for label in bundle.manifest.labels] == ["no", "yes"]


def test_one_output_needs_two_labels(saved, run_import):
    result = run_import(saved(_sigmoid_at_the_end, end=None, classes=1))
    assert result.exit_code == 2
    assert "first the label for 0, then the one for 1" in result.stderr


def test_a_hidden_sigmoid_must_be_stated(saved, two_labels, run_import):
    result = run_import(saved(_hidden_sigmoid, end=None, classes=1))
    assert result.exit_code == 2
    assert "lie between 0 and 1" in result.stderr


@pytest.mark.parametrize("classes", [2, 5])
def test_a_sigmoid_for_each_label_is_a_multi_label_model(
    saved, labels, imported, outputs_of, original, classes
):
    labels.write_text("\n".join(f"class {index}" for index in range(classes)))
    file = saved(end="Sigmoid", classes=classes)
    bundle = imported(file)
    assert bundle.manifest.task == "multi_label"
    assert bundle.manifest.thresholds == (0.5,) * classes
    assert outputs_of(bundle) == pytest.approx(original(file), abs=1e-5)
    assert "of each label by itself" in (bundle.folder / "README.md").read_text()


def test_logits_of_labels_become_sigmoids_where_the_task_is_stated(
    saved, imported, outputs_of, original
):
    file = saved(end=None)
    bundle = imported(file, "--task", "multi_label")
    assert outputs_of(bundle) == pytest.approx(_sigmoid(original(file)), abs=1e-5)


def test_a_hidden_sigmoid_for_each_label_can_be_stated(saved, imported, outputs_of, original):
    def hide(model):
        _hidden_sigmoid(model)
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3

    file = saved(hide, end=None)
    bundle = imported(file, "--task", "multi_label")
    assert outputs_of(bundle) == pytest.approx(original(file), abs=1e-5)


def test_one_label_names_the_other_of_a_binary_classifier(
    saved, labels, run_import, imported, outputs_of, original
):
    labels.write_text("defect\n")
    file = saved(_sigmoid_at_the_end, end=None, classes=1)
    assert "the labels are 'not defect' (0) and 'defect' (1)" in run_import(file).stdout
    bundle = imported(file)
    assert [label.name for label in bundle.manifest.labels] == ["not defect", "defect"]
    assert outputs_of(bundle) == pytest.approx(_both(original(file)), abs=1e-5)


def test_one_label_may_be_present_or_not(saved, labels, imported, outputs_of, original):
    labels.write_text("defect\n")
    file = saved(_sigmoid_at_the_end, end=None, classes=1)
    bundle = imported(file, "--task", "multi_label")
    assert outputs_of(bundle) == pytest.approx(original(file), abs=1e-5)
    assert [label.name for label in bundle.manifest.labels] == ["defect"]


def test_a_sigmoid_for_each_label_can_be_bypassed(
    saved, run_import, imported, outputs_of, original
):
    file = saved(end="Sigmoid")
    result = run_import(file, "--task", "single_label")
    option, name, kind, value = result.stderr.partition("pass the logits: ")[2].split()[:4]
    bundle = imported(file, option, name, kind, value.rstrip("."))
    model = onnx.load(file)
    del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name=name))
    logits = file.with_name("logits.onnx")
    onnx.save(model, logits)
    assert outputs_of(bundle) == pytest.approx(_softmax(original(logits)), abs=1e-5)


def test_logits_and_probabilities_are_derived_from_their_values(
    saved, run_import, tmp_path, imported, outputs_of, original
):
    file = saved(end=None)
    assert "so it is logits" in run_import(file).stdout
    assert outputs_of(imported(file)) == pytest.approx(_softmax(original(file)), abs=1e-5)

    def normalised(model):  # probabilities without a Softmax at the end
        nodes = [
            helper.make_node("Softmax", ["logits"], ["p"], axis=1),
            helper.make_node("Mul", ["p", "half"], ["halved"]),
            helper.make_node("Add", ["halved", "halved"], ["q"]),
        ]
        outputs = [("q", TensorProto.FLOAT, ["N", 3])]
        _end(model, *nodes, outputs=outputs, constants={"half": np.array(0.5, np.float32)})

    file = saved(normalised, end=None)
    assert "sum to 1, so it is probabilities" in run_import(file).stdout
    assert outputs_of(imported(file)) == pytest.approx(original(file), abs=1e-5)


def _zip_map(names, kind="classlabels_strings"):
    def change(model):
        nodes = [
            helper.make_node("Softmax", ["logits"], ["p"], axis=1),
            helper.make_node("ZipMap", ["p"], ["loss"], domain="ai.onnx.ml", **{kind: names}),
        ]
        _end(model, *nodes, outputs=[])
        model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
        text = TensorProto.STRING if kind == "classlabels_strings" else TensorProto.INT64
        value = helper.make_map_type_proto(text, helper.make_tensor_type_proto(1, []))
        model.graph.output.append(
            helper.make_value_info("loss", helper.make_sequence_type_proto(value))
        )

    return change


@pytest.mark.parametrize(
    "change",
    [
        _zip_map(["red", "green", "blue"]),
        _zip_map(["r", "g", "b"]),  # other names say nothing about the order
        _zip_map([0, 1, 2], "classlabels_int64s"),
    ],
    ids=["names", "other names", "numbers"],
)
@pytest.mark.parametrize("options", [(), ("--output-name", "loss"), ("--output-name", "p")])
def test_a_zip_map_is_read_through_its_tensor(
    saved, imported, outputs_of, original, change, options
):
    file = saved(change, end=None)
    bundle = imported(file, *options)
    plain = saved()  # the same network with a Softmax alone
    assert outputs_of(bundle) == pytest.approx(original(plain), abs=1e-5)


def test_the_names_of_a_zip_map_decide_about_the_order(saved, run_import):
    result = run_import(saved(_zip_map(["red", "blue", "green"]), end=None))
    assert result.exit_code == 2
    assert "The file names its class 1 'blue', and the label file 'green'" in result.stderr


def _best_class(model):
    node = helper.make_node("ArgMax", ["logits"], ["best"], axis=1, keepdims=0)
    _end(model, node, outputs=[("best", TensorProto.INT64, ["N"])])


def _best_name(model):
    nodes = [
        helper.make_node("ArgMax", ["logits"], ["best"], axis=1, keepdims=0),
        helper.make_node(
            "LabelEncoder",
            ["best"],
            ["name"],
            domain="ai.onnx.ml",
            keys_int64s=[0, 1, 2],
            values_strings=["red", "green", "blue"],
        ),
    ]
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    _end(model, *nodes, outputs=[("name", TensorProto.STRING, ["N"])])


def _best_score_and_class(model):
    nodes = [helper.make_node("TopK", ["logits", "k"], ["score", "best"], axis=1)]
    outputs = [("best", TensorProto.INT64, ["N", 1])]
    _end(model, *nodes, outputs=outputs, constants={"k": np.array([1])})


@pytest.mark.parametrize("change", [_best_class, _best_name, _best_score_and_class])
def test_an_output_of_the_best_class_names_the_tensor_to_read(
    saved, run_import, imported, outputs_of, original, change
):
    file = saved(change, end=None)
    result = run_import(file)
    assert result.exit_code == 2
    assert "holds the best class, and not a number for each" in result.stderr
    assert "--output-name logits" in result.stderr
    bundle = imported(file, "--output-name", "logits")
    plain = saved()
    assert outputs_of(bundle) == pytest.approx(original(plain), abs=1e-5)


def test_the_output_with_a_number_for_each_label_is_taken(saved, run_import):
    def with_features(model):
        for name in ("t1", "t3"):
            model.graph.output.append(onnx.ValueInfoProto(name=name))

    result = run_import(saved(with_features))
    assert result.exit_code == 0, result.output
    assert "output 'output' holds the classes; left out: 't1' and 't3'" in result.stdout


def test_of_logits_and_probabilities_the_probabilities_are_taken(
    saved, imported, outputs_of, original
):
    def both(model):
        node = helper.make_node("Softmax", ["logits"], ["p"], axis=1)
        shapes = [("logits", TensorProto.FLOAT, ["N", 3]), ("p", TensorProto.FLOAT, ["N", 3])]
        _end(model, node, outputs=shapes)

    bundle = imported(saved(both, end=None))
    assert outputs_of(bundle) == pytest.approx(original(saved()), abs=1e-5)


def test_an_output_without_a_batch_dimension_is_read(saved, imported, outputs_of, original):
    def squeezed(model):
        node = helper.make_node("Squeeze", ["logits"], ["row"])
        _end(model, node, outputs=[("row", TensorProto.FLOAT, None)])

    file = saved(squeezed, end=None, batch=1)
    bundle = imported(file)
    assert outputs_of(bundle) == pytest.approx(_softmax(original(file)), abs=1e-5)
    assert "probabilities" in Session(bundle.model_path("fp32"), "cpu", "fp32").outputs


@pytest.mark.parametrize(
    ("name", "two", "options"),
    [
        ("zipmap", False, ()),
        ("zipmap", False, ("--output-name", "loss")),
        ("plain", False, ()),
        ("sigmoid_binary", True, ()),
    ],
)
def test_the_cases_from_the_field(
    run_import, labels, outputs_of, tmp_path, original, name, two, options
):
    labels.write_text("no\nyes\n" if two else "ant\nbee\ncat\n")
    file = tmp_path / "case.onnx"
    shutil.copyfile(CASES / f"{name}.onnx", file)
    result = run_import(file, *options)
    assert result.exit_code == 0, result.output
    assert len(result.stderr) == 0
