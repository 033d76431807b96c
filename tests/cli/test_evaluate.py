"""`hubel evaluate`: figures, JSON, the report, and rejected input."""

import json
import re
import subprocess
import sys

import pytest


@pytest.fixture
def labelled(tmp_path, photo):
    for folder, colour in (("red", "red"), ("id-green", "green"), ("blue", "red")):
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / "1.jpg").write_bytes(photo(colour))
    (tmp_path / "data/red/2.jpg").write_bytes(b"text")
    return tmp_path / "data"


def test_evaluate_prints_figures_and_failed_photos(hubel, models, labelled):
    result = hubel("evaluate", models / "colours", labelled)
    assert result.exit_code == 1
    assert "1 photos have no result" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "colours version 1, fp32, 3 photos"
    assert lines[1:3] == [
        "top-1  66.7 % (95 %: 9 to 99 %)",
        "top-5  100.0 % (95 %: 29 to 100 %)",
    ]
    assert re.fullmatch(r" +0\.0% +1  95 %: 0 to 9[78] % +blue", lines[6])
    assert "1 photos have no result:" in lines
    assert lines[-1].startswith(str(labelled / "red/2.jpg"))


def test_evaluate_as_json(hubel, models, labelled):
    result = hubel("evaluate", models / "colours", labelled, "--json", "--precision", "fp32")
    figures = json.loads(result.stdout)
    assert figures["top1"] == pytest.approx(2 / 3)
    assert (figures["precision"], figures["images"]) == ("fp32", 3)
    assert len(figures["failed"]) == 1


def test_evaluate_writes_a_report(hubel, models, labelled, tmp_path):
    folder = tmp_path / "new" / "report"
    result = hubel("evaluate", models / "colours", labelled, "--report", folder)
    assert "top-1" in result.stdout
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert [path.name for path in folder.iterdir()] == ["index.html"]
    for text_part in ("are classified correctly", "red/", "count in no figure", "data:image/webp"):
        assert text_part in text
    assert str(tmp_path) not in text


def test_a_report_without_the_train_extra_says_what_is_missing(
    models, labelled, tmp_path, assert_error
):
    code = "import sys; sys.modules['jinja2'] = None; from app.cli import main; main()"
    arguments = ("evaluate", models / "colours", labelled, "--report", tmp_path / "report")
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert_error(result, 2, "A report needs jinja2. Run make setup in a checkout")
    assert not (tmp_path / "report").exists()


def test_evaluate_rejects_a_precision_that_the_bundle_lacks(hubel, models, labelled, assert_error):
    result = hubel("evaluate", models / "colours", labelled, "--precision", "int8")
    assert_error(result, 1, "has no int8 graph; it has fp32")


def test_evaluate_rejects_a_folder_that_is_not_a_label(hubel, models, photos, assert_error):
    assert_error(hubel("evaluate", models / "colours", photos), 2, "'more'")


def test_photos_for_which_the_model_returns_nan_are_named(
    hubel, make_bundle, contrast, labelled, photo, assert_error
):
    bundle = make_bundle(graph=contrast()).folder
    (labelled / "red/2.jpg").write_bytes(photo((255, 255, 255)))
    result = hubel("evaluate", bundle, labelled)
    assert_error(result, 1, "1 photos have no result. The figures leave them out.")
    assert "returned NaN or infinity as 'probabilities'" in result.stdout.splitlines()[-1]


def test_a_model_that_returns_nan_for_all_photos_fails_the_evaluation(
    hubel, make_bundle, contrast, tmp_path, photo, assert_error
):
    bundle = make_bundle(graph=contrast()).folder
    (tmp_path / "data/red").mkdir(parents=True)
    (tmp_path / "data/red/1.jpg").write_bytes(photo((0, 0, 0)))
    (tmp_path / "data/red/2.jpg").write_bytes(b"text")
    result = hubel("evaluate", bundle, tmp_path / "data")
    assert_error(result, 1, "Model 'colours' version 1 returned NaN")
