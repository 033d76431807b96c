"""`hubel classify`, `evaluate` and `check` with a multi-label model."""

import csv
import io
import json

import pyarrow.parquet
import pytest
from PIL import Image

HUES = {"both": (230, 230, 20), "none": (20, 20, 20), "red": (230, 20, 20)}


@pytest.fixture
def several(make_bundle):
    labels = ("red", "green", "blue")
    return make_bundle(name="several", labels=labels, thresholds=(0.5,) * 3).folder


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, rgb in HUES.items():
        Image.new("RGB", (64, 64), rgb).save(folder / f"{name}.png")
    return folder


def test_the_table_names_accepted_labels_first(hubel, several, pictures):
    result = hubel("classify", pictures, "--models", several.parent)
    both, none, red = (line.split(".png  ")[1] for line in result.stdout.splitlines())
    accepted, others = both.split("; not ")
    assert {part.split()[1] for part in accepted.split(", ")} == {"red", "green"}
    assert others.endswith("blue")
    assert none.startswith("no label; not ")
    assert red.split(";")[0].endswith("red")


def test_json_lines_list_every_label(hubel, several, pictures):
    result = hubel("classify", pictures, "--models", several.parent, "--format", "jsonl")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    accepted = [{p["label"] for p in row["predictions"] if p["accepted"]} for row in rows]
    assert accepted == [{"red", "green"}, set(), {"red"}]
    assert {len(row["predictions"]) for row in rows} == {3}


def test_csv_has_the_accepted_labels_in_one_column(hubel, several, pictures):
    result = hubel("classify", pictures, "--models", several.parent, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [set(row["labels"].split(";")) for row in rows] == [{"red", "green"}, {""}, {"red"}]
    assert list(rows[0])[:3] == ["path", "labels", "label_1"]
    assert "probability_3" in rows[0]


def test_parquet_says_which_labels_are_accepted(hubel, several, pictures, tmp_path):
    output = tmp_path / "rows.parquet"
    arguments = ("--models", several.parent, "--format", "parquet", "--output", output)
    assert hubel("classify", pictures, *arguments).exit_code == 0
    rows = pyarrow.parquet.read_table(output).to_pylist()
    accepted = [{p["label"] for p in row["predictions"] if p["accepted"]} for row in rows]
    assert accepted == [{"red", "green"}, set(), {"red"}]


def table(folder, *lines):
    (folder / "labels.csv").write_text("\n".join(("file,labels", *lines)) + "\n")


def test_evaluate_reads_several_labels_and_none(hubel, several, pictures):
    table(pictures, "both.png,red;green", "none.png,", "red.png,red;blue")
    result = hubel("evaluate", several, pictures)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "several version 1, fp32, 3 photos"
    assert any(line.startswith("exactly right           66.7 %") for line in lines)
    figures = json.loads(hubel("evaluate", several, pictures, "--json").stdout)
    by_label = {each["label"]: each for each in figures["per_label"]}
    assert by_label["red"]["f1"] == 1
    assert by_label["blue"]["recall"] == 0
    assert figures["f1_micro"] == pytest.approx(6 / 7)


def test_a_single_label_model_is_not_measured_on_several_labels(
    hubel, models, pictures, assert_error
):
    table(pictures, "both.png,red;green", "red.png,red")
    result = hubel("evaluate", models / "colours", pictures)
    assert_error(result, 2, "gives 1 photos several labels, the first is both.png (green; red)")


def test_check_accepts_rows_that_do_not_sum_to_one(hubel, several):
    result = hubel("check", several)
    assert result.exit_code == 0
    assert result.stdout.endswith("passed\n")


def test_check_refuses_what_are_no_probabilities(hubel, make_bundle, graph, assert_error):
    tiny = graph(sigmoid=True)
    tiny.graph.node[-1].op_type = "Elu"
    labels = ("red", "green", "blue")
    folder = make_bundle(name="odd", labels=labels, thresholds=(0.5,) * 3, graph=tiny).folder
    assert_error(hubel("check", folder), 1, "aren't probabilities: they are from -")


def test_fixes_and_calibrate_are_for_one_label(hubel, assert_error, several, pictures, tmp_path):
    table(pictures, "both.png,red;green", "none.png,", "red.png,red")
    (tmp_path / "suspects.csv").write_text("file,fix\nred.png,green\n")
    arguments = ("--output", tmp_path / "made", "--fixes", tmp_path / "suspects.csv")
    result = hubel("train", pictures, *arguments)
    assert_error(result, 2, "--fixes is for photos with one label, and those of pictures may have")
    result = hubel("calibrate", several, pictures, "--output", tmp_path / "made")
    assert_error(result, 2, "is a multi-label model, whose labels have thresholds already. Name a")
    assert not (tmp_path / "made").exists()
