"""--skipped never replaces the results of its command, nor what the command reads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RESULTS = "is the file of the results, and --skipped would replace it. Name another --skipped."


@pytest.fixture
def run(hubel, models, photos, tmp_path, monkeypatch):
    """Run a command on the photos, in the folder above them."""
    (photos / "notes.txt").write_text("no photo")
    monkeypatch.chdir(tmp_path)

    def of(command, *arguments):
        where = ("--models", models) if command == "classify" else ()
        return hubel(command, "photos", *where, *arguments)

    return of


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "old"])
@pytest.mark.parametrize("skipped", ["rows.csv", "./photos/../rows.csv", "link.csv"])
@pytest.mark.parametrize("command", ["classify", "duplicates"])
def test_one_file_for_results_and_skipped_files_is_refused(
    run, tmp_path, command, skipped, is_there, assert_error
):
    output = tmp_path / "rows.csv"
    (tmp_path / "link.csv").symlink_to("rows.csv")
    if is_there:
        output.write_text("old")
    assert_error(run(command, "--output", "rows.csv", "--skipped", skipped), 2, RESULTS)
    assert output.exists() == is_there
    assert not is_there or output.read_text() == "old"


def test_a_hard_link_to_the_results_is_refused(run, tmp_path, assert_error):
    (tmp_path / "rows.csv").write_text("old")
    (tmp_path / "other.csv").hardlink_to(tmp_path / "rows.csv")
    result = run("classify", "--output", "rows.csv", "--skipped", "other.csv")
    assert_error(result, 2, RESULTS)


@pytest.mark.parametrize("place", ["part-000000.jsonl", ".hubel/run.json", "skipped.txt"])
def test_a_list_of_skipped_files_in_a_folder_of_parts_is_refused(run, tmp_path, place):
    for _ in range(2):
        result = run("classify", "--output", "out", "--skipped", f"out/{place}")
        assert result.exit_code == 2
        assert f"out/{place} lies in out, which is for the results alone." in result.stderr
        assert run("classify", "--output", "out", "--skipped", "skipped.txt").exit_code == 0
    assert len((tmp_path / "out/part-000000.jsonl").read_text().splitlines()) == 3


def test_standard_output_that_is_the_file_of_skipped_files_is_refused(photos):
    skipped = photos.parent / "both.txt"
    command = [sys.executable, "-c", "from app.cli import main; main()"]
    with skipped.open("w") as out:
        result = subprocess.run(
            [*command, "duplicates", photos, "--skipped", skipped],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (result.returncode, RESULTS in result.stderr) == (2, True)


def test_both_may_go_to_a_device(run):
    result = run("classify", "--output", "/dev/null", "--format", "csv", "--skipped", "/dev/null")
    assert result.exit_code == 0, result.stderr


def test_a_list_of_skipped_files_in_a_report_is_refused_where_the_page_is(
    hubel, models, photos, tmp_path, assert_error
):
    data = tmp_path / "data"
    shutil.copytree(photos / "more", data / "green")
    arguments = ("evaluate", models / "colours", data, "--report", tmp_path / "report")
    result = hubel(*arguments, "--skipped", tmp_path / "report/index.html")
    assert_error(result, 2, RESULTS)
    bundle = models / "colours/bundle.json"
    before = bundle.read_bytes()
    result = hubel(*arguments, "--skipped", bundle)
    assert_error(result, 2, "would replace it")
    assert bundle.read_bytes() == before
    (tmp_path / "report").mkdir()
    result = hubel(*arguments, "--skipped", tmp_path / "report/skipped.txt")
    assert (result.exit_code, (tmp_path / "report/index.html").is_file()) == (0, True)


def test_an_index_and_its_photos_are_not_replaced_by_skipped_files(
    hubel, make_bundle, embedding_graph, photos, tmp_path, assert_error
):
    pytest.importorskip("faiss")
    models = make_bundle(graph=embedding_graph()).folder.parent
    (photos / "notes.txt").write_text("no photo")
    arguments = ("index", photos, "--models", models, "--output", tmp_path / "index")
    before = (photos / "a.jpg").read_bytes()
    for place in (photos / "a.jpg", photos / "notes.txt"):
        assert_error(hubel(*arguments, "--skipped", place), 2, "would replace it")
    assert (photos / "a.jpg").read_bytes() == before
    assert (photos / "notes.txt").read_text() == "no photo"
    assert hubel(*arguments, "--skipped", tmp_path / "skipped.txt").exit_code == 0
    assert (tmp_path / "skipped.txt").read_text() == f"{photos / 'notes.txt'}\n"
    result = hubel(*arguments, "--skipped", tmp_path / "index/index.json")
    assert_error(result, 2, "which is for the results alone")
