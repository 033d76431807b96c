"""`hubel train` on photos with several labels or none, from the table to a bundle that serves."""

import re
import shutil

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from app.bundle import load, verify_files
from app.cli import main
from app.runtime.session import Session
from app.runtime.verify import check_signature, require_golden, run_golden
from training import pipeline, reading, thresholds
from training.data import label_sets, layout
from training.data.split import split_by_groups
from training.errors import DataUnusable
from training.packaging import staging
from training.recipes import registry

HUES = ("red", "green", "blue")


def _train(*arguments):
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


@pytest.fixture(scope="module")
def data(colours_of_each):
    return colours_of_each


@pytest.fixture(scope="module")
def trained(data):
    output = data.parent / "model"
    return _train(data, "--output", output), output


def test_the_table_decides_that_photos_have_several_labels(trained):
    result, _ = trained
    assert result.exit_code == 0, result.output
    assert "multi-label: several labels for 24 of 48 files, first 03.jpg (green; red). If" in (
        result.stdout
    )
    assert "3 labels: blue 24, green 24, red 24" in result.stdout
    assert "Photos without any label, used as such (6)" in result.stdout
    assert "cross-validated mean average precision" in result.stdout
    assert "exactly right" in result.stdout
    assert re.search(r"ECE 0\.\d{3} on \d+ test photos", result.stdout)
    assert "promised" not in result.stdout


def test_one_label_beside_photos_without_a_label_leads_to_the_option_that_learns_from_them(
    blob, small_backbone, tmp_path
):
    data = tmp_path / "one"
    data.mkdir()
    rows = ["file,labels"]
    for index in range(40):
        hue = ("red", "green")[index % 2]
        (data / f"{index:02}.jpg").write_bytes(blob(hue, index))
        rows.append(f"{index:02}.jpg,{'red' if hue == 'red' else ''}")
    (data / "labels.csv").write_text("\n".join(rows))
    arguments = (data, "--output", tmp_path / "out", "--backbone", small_backbone)
    refused = _train(*arguments)
    assert refused.exit_code == 2
    assert (
        "There is only the label 'red', and the table gives 20 photos no label." in refused.stderr
    )
    assert "add --task multi_label" in refused.stderr
    result = _train(*arguments, "--task", "multi_label")
    assert result.exit_code == 0, result.output
    assert "1 labels: red 20" in result.stdout


def test_the_bundle_states_thresholds_and_calibration_of_each_label(trained):
    manifest = load(trained[1]).manifest
    assert manifest.task == "multi_label"
    assert [label.name for label in manifest.labels] == ["blue", "green", "red"]
    for threshold, (low, high) in zip(manifest.thresholds, manifest.undecided, strict=True):
        assert low <= 1 / 3
        assert high >= 2 / 3
        assert low <= threshold <= high
    assert len(manifest.calibration.scales) == len(manifest.calibration.offsets) == 3
    metrics = manifest.metrics["fp32"]
    assert metrics.mean_average_precision > 0.95
    assert metrics.f1_micro > 0.9
    assert "int8" not in manifest.precisions  # too few photos to compare it on


def test_the_bundle_passes_its_own_verification(trained):
    bundle = load(trained[1])
    verify_files(bundle)
    session = Session(bundle.model_path("fp32"), "cpu", "fp32")
    check_signature(session, bundle)
    results = run_golden(session, bundle)
    require_golden(results, session)
    expected = np.load(bundle.path(bundle.manifest.golden.expected["fp32"]))
    accepted = (expected >= np.array(bundle.manifest.thresholds)).sum(axis=1)
    assert accepted.min() == 0  # a photo without any label is among the golden ones


def test_the_graph_ends_in_sigmoids_of_a_pooled_head(trained):
    graph = onnx.load(load(trained[1]).model_path("fp32")).graph
    (last,) = (node for node in graph.node if "probabilities" in node.output)
    assert last.op_type == "Sigmoid"
    assert {output.name for output in graph.output} >= {"embedding", "activation", "familiarity"}


def test_report_and_card_tell_of_labels_instead_of_classes(trained):
    page = (trained[1] / "report/index.html").read_text(encoding="utf-8")
    for words in (
        *("Labels that occur together", "exactly\n    the right labels", "mean average precision"),
        *("accepted from", "Photos without any label", "no label", "Labels</a>"),
    ):
        assert words in page
    assert "Confusion" not in page
    card = (trained[1] / "README.md").read_text(encoding="utf-8")
    assert "3 labels, of which a photo may have several, or none: blue, green, red" in card
    assert "one against the" in card


def test_the_report_states_the_bands_of_the_bundle(trained):
    low, high = zip(*load(trained[1]).manifest.undecided, strict=True)
    page = (trained[1] / "report/index.html").read_text(encoding="utf-8")
    words = thresholds.describe_bands([*zip(low, high, strict=True)])
    assert f"the band of its label, which {words}." in page
    assert all(f"<td>{100 * one:.1f}\u00a0% and" in page for one in low)
    assert words in (trained[1] / "README.md").read_text(encoding="utf-8")


def test_bands_are_described_by_their_ends():
    third = (1 / 3, 2 / 3)
    assert thresholds.describe_bands([third] * 2) == "begins at 33.3 % and ends at 66.7 %"
    assert thresholds.describe_bands([third, (0.2, 2 / 3)]) == (
        "begins at 20.0 to 33.3 % and ends at 66.7 %, by the label"
    )


def test_a_promise_is_said_with_what_the_test_photos_give(data, tmp_path):
    result = _train(data, "--output", tmp_path / "out", "--accept-precision", 0.7)
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if line.startswith("promised"))
    start = "promised for each label: 70 % of the photos for which it is accepted have it (95 %"
    assert line.startswith(start)
    assert re.search(
        r"test photos \d+\.\d % get a label, and \d+\.\d\d % of their \d+ labels", line
    )
    page = (tmp_path / "out/report/index.html").read_text(encoding="utf-8")
    assert "at least 70.0\u00a0% have it" in page
    assert re.search(r"\d+ of the \d+ accepted labels are right \(", page)


def test_accepted_labels_are_counted():
    accepted = np.array([[True, True], [False, True], [False, False]])
    truth = np.array([[True, False], [False, True], [True, True]])
    assert thresholds.count_accepted(accepted, truth) == (2, 3, 2)


def test_it_is_measured_and_reported_on_other_photos(data, trained, tmp_path):
    report = tmp_path / "report"
    result = CliRunner().invoke(
        main, ["evaluate", str(trained[1]), str(data), "--report", str(report)]
    )
    assert result.exit_code == 0, result.output
    assert "mean average precision" in result.stdout
    assert "Labels that occur together" in (report / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--task", "single_label"], "gives 24 photos several labels, the first is 03.jpg"),
    ],
)
def test_what_cannot_be_learnt_is_one_sentence(data, tmp_path, arguments, words):
    result = _train(data, "--output", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_folders_may_be_learnt_as_labels_of_one_each(tmp_path):
    for label in HUES:
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.jpg").touch()
    found = layout.scan_folder(tmp_path, task="multi_label")
    assert found.labels == ("blue", "green", "red")
    assert [file.labels for file in found.files] == [("blue",), ("green",), ("red",)]


def test_rare_labels_are_divided_as_evenly_as_frequent_ones():
    rng = np.random.default_rng(1)
    matrix = rng.random((400, 4)) < [0.9, 0.5, 0.1, 0.03]
    strata = label_sets.strata(matrix)
    assert set(strata[~matrix.any(axis=1)]) == {4}
    folds = split_by_groups(strata, np.arange(400), [1.0] * 5, 0)
    by_fold = np.stack([matrix[folds == fold].sum(axis=0) for fold in range(5)])
    assert np.ptp(by_fold, axis=0).max() <= 6
    assert by_fold[:, 3].min() >= 1


@pytest.mark.parametrize(
    ("present", "absent"), [pytest.param(4, 20, id="with"), pytest.param(20, 4, id="without")]
)
def test_a_label_needs_photos_with_it_and_without_it(present, absent):
    matrix = np.array([[True]] * present + [[False]] * absent)
    groups, given = np.arange(len(matrix)), [None] * len(matrix)
    small = label_sets.small_labels(matrix, groups, given, ["cat"], 5)
    assert small == {"cat": 4}
    with pytest.raises(DataUnusable, match=r"1 of 1 labels can't be learnt: 5 .* cat \(4\)"):
        label_sets.require_enough(small, ["cat"], 5)


def test_labels_that_differ_in_case_alone_are_rejected_before_training(data, tmp_path):
    folder = shutil.copytree(data, tmp_path / "data")
    lines = (folder / "labels.csv").read_text().replace("red\n", "Red\n")
    (folder / "labels.csv").write_text(lines)
    result = _train(folder, "--output", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert "The labels 'Red', 'red' differ in case alone" in result.stderr
    assert "split:" not in result.stdout


def test_small_labels_are_dropped_and_groups_of_the_table_stay_together(data, tmp_path):
    for file in sorted(data.glob("*.jpg")):
        shutil.copy(file, tmp_path / file.name)
    lines = (data / "labels.csv").read_text().splitlines()
    lines[1] = f"{lines[1]}rare"
    rows = [f"{line},scene {index // 6}" for index, line in enumerate(lines[1:])]
    (tmp_path / "labels.csv").write_text("\n".join([f"{lines[0]},group", *rows]))
    arguments = pipeline.Arguments(
        tmp_path, tmp_path / "out", registry.make_recipe("head"), "x", 1, 0, skip_small=True
    )
    with staging.folder_beside(tmp_path / "out") as folder:
        read = reading.read(arguments, folder, lambda _: None)
    examples, findings = read.training_data.examples, read.findings
    assert examples.labels == ("blue", "green", "red")
    assert len(examples.photos) == 48
    assert findings.photos == {"blue": 24, "green": 24, "red": 24}
    (groups,) = [found for found in findings.found if found.kind == "groups"]
    assert groups.names == tuple(f"scene {index} 6" for index in range(8))
    for group in range(8):
        assert len(set(examples.parts[6 * group : 6 * group + 6])) == 1
        assert len(set(examples.groups[6 * group : 6 * group + 6])) == 1
