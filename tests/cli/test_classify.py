"""`hubel classify`: formats, output files, and errors in rows."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from app.bulk import text_rows


def test_classify_prints_a_line_for_each_photo(hubel, models, photos):
    result = hubel("classify", photos, "--models", models)
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    names = [photos / "a.jpg", photos / "more/b.jpg", photos / "more/c.png"]
    for line, name, label in zip(lines, names, ("red", "green", "blue"), strict=True):
        assert line.startswith(f"{name}  1.00 {label}, .00 ")


def test_classify_as_json_lines(hubel, models, photos):
    result = hubel("classify", photos, "--models", models, "--format", "jsonl", "--top-k", 1)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["path"] for row in rows] == [
        str(photos / "a.jpg"),
        str(photos / "more/b.jpg"),
        str(photos / "more/c.png"),
    ]
    assert (rows[0]["model"], rows[0]["version"], rows[0]["decision"]) == ("colours", 1, None)
    assert [[p["label"] for p in row["predictions"]] for row in rows] == [
        ["red"],
        ["green"],
        ["blue"],
    ]


@pytest.mark.parametrize("top_k", [1, 2, 5])
def test_classify_as_csv_has_room_for_every_prediction(hubel, models, photos, top_k):
    result = hubel("classify", photos, "--models", models, "--format", "csv", "--top-k", top_k)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["label_1"] for row in rows] == ["red", "green", "blue"]
    assert list(rows[0]) == [
        "path",
        *(f"{part}_{i}" for i in range(1, top_k + 1) for part in ("label", "probability")),
        "decision",
        "error",
        "familiarity",
        "unknown_score",
        "unknown_threshold",
        "sha256",
        "size",
        "format",
        "width",
        "height",
    ]
    assert float(rows[0]["probability_1"]) > 0.99


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("table", "broken_image: "),
        ("jsonl", '"error": {"code": "broken_image", "detail": '),
        ("csv", "broken_image: "),
    ],
)
def test_a_broken_photo_has_its_error_in_its_row_and_the_exit_code_is_1(
    hubel, models, photos, photo, form, shown, assert_error
):
    (photos / "aa.jpg").write_bytes(photo("red")[:300])
    result = hubel("classify", photos, "--models", models, "--format", form)
    assert_error(result, 1, "1 of 4 photos have no result. Their rows hold the errors.")
    assert shown in result.stdout
    assert "blue" in result.stdout


def test_classify_as_parquet_holds_what_json_lines_hold(
    hubel, models, photos, photo, tmp_path, assert_error
):
    (photos / "aa.jpg").write_bytes(photo("red")[:300])
    arguments = ("classify", photos, "--models", models, "--top-k", 2)
    output = tmp_path / "out.parquet"
    result = hubel(*arguments, "--format", "parquet", "--output", output)
    assert_error(result, 1, "1 of 4 photos have no result. Their rows hold the errors.")
    table = pyarrow.parquet.read_table(output)
    lines = hubel(*arguments, "--format", "jsonl").stdout.splitlines()
    for row, line in zip(table.to_pylist(), map(json.loads, lines), strict=True):
        assert row == {**dict.fromkeys(table.column_names), **line}
    assert table.schema.field("path").type == pyarrow.string()
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out.parquet"]


def test_parquet_needs_an_output_file(hubel, models, photos, assert_error):
    result = hubel("classify", photos, "--models", models, "--format", "parquet")
    assert_error(result, 2, "Name a file with --output.")


def test_parquet_without_its_extra_says_what_is_missing(models, photos, tmp_path, assert_error):
    code = "import sys; sys.modules['pyarrow'] = None; from app.cli import main; main()"
    arguments = ("classify", photos, "--format", "parquet", "--output", tmp_path / "out.parquet")
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert_error(result, 2, "Parquet needs pyarrow. Install the `parquet` extra")


def test_output_is_written_to_a_file(hubel, models, photos, tmp_path):
    output = tmp_path / "out.csv"
    output.write_text("old")
    result = hubel("classify", photos, "--models", models, "--format", "csv", "--output", output)
    assert (result.exit_code, result.stdout) == (0, "")
    assert len(output.read_text().splitlines()) == 4
    assert sorted(f.name for f in tmp_path.iterdir() if "out" in f.name) == ["out.csv"]


def test_output_is_written_whole_or_not_at_all(
    hubel, models, photos, tmp_path, monkeypatch, assert_error
):
    output = tmp_path / "out.jsonl"
    output.write_text("old")
    line = text_rows.json_line

    def fail_at_the_second(row):
        if row.path.endswith("b.jpg"):
            raise OSError(28, "No space left on device")
        return line(row)

    monkeypatch.setattr(text_rows, "json_line", fail_at_the_second)
    result = hubel("classify", photos, "--models", models, "--format", "jsonl", "--output", output)
    assert_error(result, 2, "No space left on device")
    assert output.read_text() == "old"
    assert [f.name for f in tmp_path.iterdir() if "out" in f.name] == ["out.jsonl"]


def test_an_output_that_cannot_be_written_is_named(hubel, models, photos, tmp_path, assert_error):
    output = tmp_path / "none/out.csv"
    result = hubel("classify", photos, "--models", models, "--output", output)
    assert_error(result, 2, str(tmp_path / "none"))


def test_a_link_and_a_pipe_as_output_are_kept(hubel, models, photos, tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
    (tmp_path / "target.csv").write_text("old")
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True)
    for name in ("link.csv", "pipe"):
        arguments = ("--models", models, "--format", "csv", "--output", tmp_path / name)
        assert hubel("classify", photos, *arguments).exit_code == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "pipe").is_fifo()
    assert reader.communicate(timeout=120)[0] == (tmp_path / "target.csv").read_text() != "old"


def _input(photos):
    return photos / "a.jpg"


def _below_an_input(photos):
    return photos / "more" / "b.jpg"


def _symbolic_link(photos):
    (photos.parent / "out.csv").symlink_to(photos / "a.jpg")
    return photos.parent / "out.csv"


def _hard_link(photos):
    (photos.parent / "out.csv").hardlink_to(photos / "more" / "c.png")
    return photos.parent / "out.csv"


def _another_photo(photos):
    return Path(shutil.copy(photos / "a.jpg", photos.parent / "rows.csv"))


def _jpeg_xl(photos):
    (photos.parent / "out").write_bytes(b"\0\0\0\x0cJXL \r\n\x87\n")
    return photos.parent / "out"


def _through_a_link_to_the_folder(photos):
    (photos.parent / "link").symlink_to(photos)
    return photos.parent / "link" / "a.jpg"


@pytest.mark.parametrize(
    "output",
    [
        _input,
        _below_an_input,
        _symbolic_link,
        _hard_link,
        _another_photo,
        _jpeg_xl,
        _through_a_link_to_the_folder,
    ],
)
def test_an_output_that_is_a_photo_is_refused_and_kept(hubel, models, photos, output, assert_error):
    file = output(photos)
    before = file.read_bytes()
    result = hubel("classify", photos, "--models", models, "--format", "csv", "--output", file)
    assert_error(result, 2, "--output would replace it. Name another --output.")
    assert file.read_bytes() == before


def test_an_output_in_a_folder_of_photos_and_a_file_beside_are_kept(hubel, models, photos):
    (photos / ".out.csv.part").write_text("mine")
    (photos / "out.csv").write_text("old")
    (photos / "out.csv").chmod(0o640)
    arguments = ("--models", models, "--format", "csv", "--output", photos / "out.csv")
    assert hubel("classify", photos, *arguments).exit_code == 0
    assert len((photos / "out.csv").read_text().splitlines()) == 4
    assert (photos / ".out.csv.part").read_text() == "mine"
    assert (photos / "out.csv").stat().st_mode & 0o777 == 0o640


def test_an_output_that_is_a_cycle_of_links_is_rejected(hubel, models, photos, assert_error):
    (photos.parent / "out.csv").symlink_to(photos.parent / "out.csv")
    result = hubel("classify", photos, "--models", models, "--output", photos.parent / "out.csv")
    assert_error(result, 2, "out.csv")
    assert (photos.parent / "out.csv").is_symlink()


@pytest.mark.parametrize("form", ["table", "jsonl", "csv"])
def test_a_file_name_that_is_not_utf8_does_not_end_the_run(hubel, models, photos, form):
    missing = os.fsencode(photos / "caf") + b"\xe9.jpg"
    os.symlink(b"nowhere", missing)
    result = hubel("classify", photos, "--models", models, "--format", form)
    assert result.exit_code == 1
    assert "caf?.jpg can't be read" in result.stdout


def test_files_that_are_no_photos_are_counted_and_listed(hubel, models, photos, tmp_path):
    for number in range(5):
        (photos / f"notes{number}.txt").write_text("no photo")
    (photos / "more" / "loop").symlink_to(photos)
    shutil.copy(photos / "a.jpg", photos / "without suffix")
    arguments = ("classify", photos, "--models", models, "--format", "csv")
    result = hubel(*arguments)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 1 + 4
    assert result.stderr.startswith("skipped, no photos (5): ")
    assert "and 2 more; --skipped FILE lists them all" in result.stderr
    assert f"skipped, read already (1): {photos / 'more' / 'loop'}\n" in result.stderr
    listed = tmp_path / "skipped.txt"
    assert hubel(*arguments, "--skipped", listed).exit_code == 0
    assert len(listed.read_text().splitlines()) == 6


@pytest.mark.parametrize("name", ["new.jxl", "gone.jpg", "two.mpo"])
def test_photos_that_are_not_read_have_a_row(hubel, models, photos, photo, name):
    if name == "gone.jpg":
        (photos / name).symlink_to(photos / "nowhere")
    elif name == "new.jxl":
        (photos / name).write_bytes(b"\0\0\0\x0cJXL \r\n\x87\n")
    else:
        (photos / name).write_bytes(photo("red"))
    result = hubel("classify", photos, "--models", models)
    (row,) = [line for line in result.stdout.splitlines() if name in line]
    assert ("red" in row) == (result.exit_code == 0) == (name == "two.mpo")


def test_a_folder_without_photos_is_rejected(hubel, models, tmp_path, assert_error):
    (tmp_path / "empty").mkdir()
    result = hubel("classify", tmp_path / "empty", "--models", models)
    assert_error(result, 2, f"There are no photos in {tmp_path / 'empty'}.")


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("source", ["tar", "Parquet", "no photo"])
def test_an_archive_without_photos_replaces_no_output(hubel, models, tmp_path, form, source):
    archive = tmp_path / ("none.parquet" if source == "Parquet" else "none.tar")
    if source == "Parquet":
        schema = pyarrow.schema([("jpg", pyarrow.binary())])
        pyarrow.parquet.write_table(schema.empty_table(), archive)
    else:
        with tarfile.open(archive, "w") as file:
            if source == "no photo":
                file.add(__file__, "notes.txt")
    output, skipped = tmp_path / f"rows.{form}", tmp_path / "skipped.txt"
    output.write_text("old")
    arguments = ("classify", archive, "--models", models, "--output", output)
    result = hubel(*arguments, "--skipped", skipped)
    assert result.exit_code == 2
    assert f"There are no photos in {archive}" in result.stderr
    assert output.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir() if "rows" in path.name) == [output.name]
    assert ("notes.txt" in skipped.read_text()) == (source == "no photo")


def test_a_photo_that_only_its_own_name_reaches_has_a_row(hubel, models, photos):
    hidden = photos / ".hidden.jpg"
    shutil.copy(photos / "a.jpg", hidden)
    for sources in ((photos, hidden), (hidden, photos), (photos, f"{photos}/.h*")):
        result = hubel("classify", *sources, "--models", models, "--format", "csv")
        assert (result.exit_code, result.stderr) == (0, "")
        assert sorted(row["path"] for row in csv.DictReader(io.StringIO(result.stdout))) == sorted(
            map(str, (hidden, photos / "a.jpg", photos / "more/b.jpg", photos / "more/c.png"))
        )


@pytest.mark.parametrize("again", [".", "more", "a.jpg", "*.jpg"])
def test_what_is_named_twice_is_reported_as_read_already(hubel, models, photos, again):
    result = hubel("classify", photos, f"{photos}/{again}", "--models", models)
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 3)
    assert result.stderr.startswith(f"skipped, read already (1): {photos}")


def test_a_model_is_selected_by_name(hubel, make_bundle, models, photos):
    make_bundle(models, "french", labels=("rouge", "vert", "bleu"))
    result = hubel("classify", photos / "a.jpg", "--models", models, "--model", "french")
    assert "1.00 rouge" in result.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "wasps"], "There is no model 'wasps'. Known models: colours."),
        (["--version", "9"], "has no version 9"),
        (["--top-k", "0"], "--top-k"),
        (["--format", "xml"], "--format"),
        (["--device", "tpu"], "--device"),
        (["--models", "/nowhere"], "--models"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_of_classify_exits_with_2(hubel, models, photos, options, words, assert_error):
    assert_error(hubel("classify", photos, "--models", models, *options), 2, words)


def test_a_refused_model_classifies_nothing(hubel, models, photos):
    (models / "colours/model.onnx").write_bytes(b"changed")
    result = hubel("classify", photos, "--models", models)
    assert result.stdout == ""
    assert result.exit_code == 2
    assert "Model 'colours' is not ready: " in result.stderr
    assert "Traceback" not in result.stderr


def test_classify_in_its_own_process_with_the_built_in_model(imagenet, process):
    result = process("classify", imagenet / "golden/chelsea.jpg", "--top-k", 1)
    assert result.returncode == 0, result.stderr
    assert "Egyptian cat" in result.stdout


def test_a_photo_for_which_the_model_returns_nan_has_its_error_in_its_row(
    hubel, make_bundle, contrast, photos, photo, assert_error
):
    models = make_bundle(graph=contrast()).folder.parent
    (photos / "white.jpg").write_bytes(photo((255, 255, 255)))
    result = hubel("classify", photos, "--models", models, "--format", "jsonl")
    assert_error(result, 1, "1 of 4 photos have no result. Their rows hold the errors.")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in result.stdout.splitlines()]
    (row,) = [row for row in rows if row["path"].endswith("white.jpg")]
    assert "Model 'colours' version 1 returned NaN" in str(row)


@pytest.fixture
def models_with_a_threshold(make_bundle, rewrite, tmp_path):
    folder = make_bundle(tmp_path / "with threshold").folder
    rewrite(folder, {"unknown": {"score": "max_probability", "threshold": 0.9, "accepts": 0.95}})
    return folder.parent


@pytest.mark.parametrize("row_format", ["jsonl", "csv", "parquet"])
def test_classify_writes_why_a_photo_is_unknown(
    hubel, models_with_a_threshold, photo, tmp_path, row_format
):
    grey = tmp_path / "grey.jpg"
    grey.write_bytes(photo((127, 127, 127)))
    (tmp_path / "text.jpg").write_bytes(b"text")
    output = tmp_path / f"rows.{row_format}"
    options = ("--models", models_with_a_threshold, "--format", row_format, "--output", output)
    if row_format == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
    hubel("classify", grey, tmp_path / "text.jpg", *options)
    if row_format == "jsonl":
        first, failed = map(json.loads, output.read_text().splitlines())
    elif row_format == "csv":
        first, failed = csv.DictReader(io.StringIO(output.read_text()))
    else:
        first, failed = parquet.read_table(output).to_pylist()
    assert first["decision"] == "unknown"
    assert float(first["familiarity"]) == pytest.approx(1 / 3, abs=0.05)
    assert first["unknown_score"] == "max_probability"
    assert float(first["unknown_threshold"]) == 0.9
    assert not failed.get("familiarity")
