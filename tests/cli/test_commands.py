"""The command line: what it prints, which code it exits with, and that errors are one sentence."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from app.cli import main, parquet_output
from app.errors import NotAnImage

COMMANDS = ["serve", "health", "classify", "evaluate", "train", "import", "check"]


@pytest.fixture(autouse=True)
def usual_environment(monkeypatch):
    for name in list(os.environ):
        if name.upper().startswith("HUBEL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def hubel(monkeypatch, tmp_path):
    """Runs a command in this process, without the built-in bundle."""
    (tmp_path / "built-in").mkdir()
    monkeypatch.setattr("app.runtime.discovery.BUILT_IN_MODELS", tmp_path / "built-in")

    def run(*arguments):
        return CliRunner().invoke(main, [str(a) for a in arguments])

    return run


def process(*arguments, **environment) -> subprocess.CompletedProcess:
    """Runs a command in a process of its own, as a user does."""
    return subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def models(make_bundle):
    return make_bundle().folder.parent


@pytest.fixture
def photos(tmp_path, photo):
    """A folder with photos of three colours, two of them in a folder of their own."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(photo("red"))
    (folder / "more/b.jpg").write_bytes(photo("green"))
    (folder / "more/c.png").write_bytes(photo("blue"))
    (folder / "notes.txt").write_text("no photo")
    return folder


def one_sentence(result, code, words):
    """Asserts that a failure is one line on standard error and no traceback."""
    exit_code = getattr(result, "exit_code", getattr(result, "returncode", None))
    assert exit_code == code, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith(("Error: ", "Usage: "))
    assert len(result.stderr.strip().splitlines()) <= (4 if "Usage:" in result.stderr else 1)


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
    hubel, models, photos, photo, form, shown
):
    (photos / "aa.jpg").write_bytes(photo("red")[:300])
    result = hubel("classify", photos, "--models", models, "--format", form)
    one_sentence(result, 1, "1 of 4 photos can't be used; their rows say why.")
    assert shown in result.stdout
    assert "blue" in result.stdout


def test_classify_as_parquet_holds_what_json_lines_hold(hubel, models, photos, photo, tmp_path):
    (photos / "aa.jpg").write_bytes(photo("red")[:300])
    arguments = ("classify", photos, "--models", models, "--top-k", 2)
    output = tmp_path / "out.parquet"
    result = hubel(*arguments, "--format", "parquet", "--output", output)
    one_sentence(result, 1, "1 of 4 photos can't be used; their rows say why.")
    table = pyarrow.parquet.read_table(output)
    lines = hubel(*arguments, "--format", "jsonl").stdout.splitlines()
    for row, line in zip(table.to_pylist(), map(json.loads, lines), strict=True):
        assert row == {**dict.fromkeys(table.column_names), **line}
    assert table.schema.field("path").type == pyarrow.string()
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out.parquet"]


def test_many_rows_of_parquet_are_written_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_output, "ROWS", 4)
    outcomes = [(Path(f"{index}.jpg"), NotAnImage("No image.")) for index in range(10)]
    assert parquet_output.write_parquet(iter(outcomes), tmp_path / "out.parquet") == 10
    file = pyarrow.parquet.ParquetFile(tmp_path / "out.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [4, 4, 2]
    assert file.read().column("path").to_pylist() == [f"{index}.jpg" for index in range(10)]


def test_parquet_is_written_whole_or_not_at_all(tmp_path):
    def broken():
        yield Path("a.jpg"), NotAnImage("No image.")
        raise OSError(28, "No space left on device")

    (tmp_path / "out.parquet").write_text("old")
    with pytest.raises(OSError, match="No space"):
        parquet_output.write_parquet(broken(), tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_parquet_goes_to_a_file(hubel, models, photos):
    result = hubel("classify", photos, "--models", models, "--format", "parquet")
    one_sentence(result, 2, "Name a file with --output.")


def test_parquet_without_its_extra_says_what_is_missing(models, photos, tmp_path):
    code = "import sys; sys.modules['pyarrow'] = None; from app.cli import main; main()"
    arguments = ("classify", photos, "--format", "parquet", "--output", tmp_path / "out.parquet")
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    one_sentence(result, 2, "Parquet needs pyarrow. Install the `parquet` extra")


def test_output_is_written_to_a_file(hubel, models, photos, tmp_path):
    output = tmp_path / "out.csv"
    output.write_text("old")
    result = hubel("classify", photos, "--models", models, "--format", "csv", "--output", output)
    assert (result.exit_code, result.stdout) == (0, "")
    assert len(output.read_text().splitlines()) == 4
    assert sorted(f.name for f in tmp_path.iterdir() if "out" in f.name) == ["out.csv"]


def test_output_is_written_whole_or_not_at_all(hubel, models, photos, tmp_path, monkeypatch):
    output = tmp_path / "out.jsonl"
    output.write_text("old")
    from app.cli import output as output_module

    line = output_module._json_line

    def fail_at_the_second(path, outcome):
        if path.name == "b.jpg":
            raise OSError(28, "No space left on device")
        return line(path, outcome)

    monkeypatch.setattr(output_module, "_json_line", fail_at_the_second)
    result = hubel("classify", photos, "--models", models, "--format", "jsonl", "--output", output)
    one_sentence(result, 2, "No space left on device")
    assert output.read_text() == "old"
    assert [f.name for f in tmp_path.iterdir() if "out" in f.name] == ["out.jsonl"]


def test_an_output_that_cannot_be_written_is_named(hubel, models, photos, tmp_path):
    output = tmp_path / "none/out.csv"
    result = hubel("classify", photos, "--models", models, "--output", output)
    one_sentence(result, 2, str(tmp_path / "none"))


@pytest.mark.parametrize("name", [".", "results"])
def test_an_output_that_is_a_folder_is_refused_before_any_photo(
    hubel, models, photos, tmp_path, monkeypatch, name
):
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    from app.runtime import bulk

    monkeypatch.setattr(bulk, "classify", lambda *_: pytest.fail("it was classified"))
    result = hubel("classify", photos, "--models", models, "--output", name)
    one_sentence(result, 2, f"{tmp_path / name} is a folder.")


def test_an_output_that_is_a_link_or_no_file_stays_what_it_is(hubel, models, photos, tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
    (tmp_path / "target.csv").write_text("old")
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True)
    for name in ("link.csv", "pipe"):
        arguments = ("--models", models, "--format", "csv", "--output", tmp_path / name)
        assert hubel("classify", photos, *arguments).exit_code == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "pipe").is_fifo()
    assert reader.communicate(timeout=20)[0] == (tmp_path / "target.csv").read_text() != "old"


@pytest.mark.parametrize("form", ["table", "jsonl", "csv"])
def test_a_name_that_is_no_utf8_ends_no_run(hubel, models, photos, form):
    missing = os.fsencode(photos / "caf") + b"\xe9.jpg"
    os.symlink(b"nowhere", missing)
    result = hubel("classify", photos, "--models", models, "--format", form)
    assert result.exit_code == 1
    assert "caf?.jpg can't be read" in result.stdout


def test_a_folder_without_photos(hubel, models, tmp_path):
    (tmp_path / "empty").mkdir()
    result = hubel("classify", tmp_path / "empty", "--models", models)
    one_sentence(result, 2, f"There are no photos in {tmp_path / 'empty'}.")


def test_a_model_is_chosen_by_name(hubel, make_bundle, models, photos):
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
def test_wrong_use_of_classify_exits_with_2(hubel, models, photos, options, words):
    one_sentence(hubel("classify", photos, "--models", models, *options), 2, words)


def test_a_refused_model_classifies_nothing(hubel, models, photos):
    (models / "colours/model.onnx").write_bytes(b"changed")
    result = hubel("classify", photos, "--models", models)
    assert result.stdout == ""
    assert result.exit_code == 2
    assert "Model 'colours' does not serve: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def labelled(tmp_path, photo):
    for folder, colour in (("red", "red"), ("id-green", "green"), ("blue", "red")):
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / "1.jpg").write_bytes(photo(colour))
    (tmp_path / "data/red/2.jpg").write_bytes(b"text")
    return tmp_path / "data"


def test_evaluate_prints_figures_and_what_failed(hubel, models, labelled):
    result = hubel("evaluate", models / "colours", labelled)
    assert result.exit_code == 1
    assert "1 photos can't be used" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "colours version 1, fp32, 3 photos"
    assert lines[1:3] == ["top-1  66.7%", "top-5  100.0%"]
    assert "         0.0%       1  blue" in lines
    assert "1 photos can't be used:" in lines
    assert lines[-1].startswith(str(labelled / "red/2.jpg"))


def test_evaluate_as_json(hubel, models, labelled):
    result = hubel("evaluate", models / "colours", labelled, "--json", "--precision", "fp32")
    figures = json.loads(result.stdout)
    assert figures["top1"] == pytest.approx(2 / 3)
    assert (figures["precision"], figures["images"]) == ("fp32", 3)
    assert len(figures["failed"]) == 1


def test_evaluate_writes_a_report(hubel, models, labelled, tmp_path):
    folder = tmp_path / "told" / "report"
    result = hubel("evaluate", models / "colours", labelled, "--report", folder)
    assert "top-1" in result.stdout
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert [path.name for path in folder.iterdir()] == ["index.html"]
    for told in ("Right on", "red/", "count in no figure", "data:image/webp"):
        assert told in text
    assert str(tmp_path) not in text


def test_a_report_without_the_train_extra_says_what_is_missing(models, labelled, tmp_path):
    code = "import sys; sys.modules['jinja2'] = None; from app.cli import main; main()"
    arguments = ("evaluate", models / "colours", labelled, "--report", tmp_path / "report")
    command = [sys.executable, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    one_sentence(result, 2, "A report needs jinja2. Run make setup, or install the `train` extra.")
    assert not (tmp_path / "report").exists()


def test_evaluate_refuses_a_precision_that_is_not_there(hubel, models, labelled):
    result = hubel("evaluate", models / "colours", labelled, "--precision", "int8")
    one_sentence(result, 1, "has no int8 graph; it has fp32")


def test_evaluate_refuses_a_folder_that_is_no_label(hubel, models, photos):
    one_sentence(hubel("evaluate", models / "colours", photos), 2, "'more'")


def test_check_passes_a_good_bundle_and_shows_each_photo(hubel, make_bundle):
    result = hubel("check", make_bundle(int8_sharpness=8.0).folder)
    assert result.exit_code == 0
    assert result.stdout.count("golden/") == 6
    assert result.stdout.splitlines()[-1] == "passed"


@pytest.mark.parametrize("name", ["model.onnx", "golden/red.jpg"])
def test_check_fails_a_changed_byte(hubel, models, name):
    file = models / "colours" / name
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    result = hubel("check", models / "colours")
    one_sentence(result, 1, f"{file} has sha256")
    assert "passed" not in result.stdout


def test_check_fails_int8_that_is_off_though_the_service_would_fall_back(hubel, make_bundle):
    result = hubel("check", make_bundle(int8_sharpness=1.0).folder)
    one_sentence(result, 1, "int8 misses its golden photo")


def test_check_fails_a_folder_that_is_no_bundle(hubel, tmp_path):
    (tmp_path / "nothing").mkdir()
    one_sentence(hubel("check", tmp_path / "nothing"), 1, "bundle.json can't be read")


def test_check_passes_the_built_in_bundle(hubel, imagenet):
    assert hubel("check", imagenet).exit_code == 0


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"HUBEL_PORT": "many"}, "HUBEL_PORT=many: "),
        ({"HUBEL_DEADLINE_S": "-1"}, "HUBEL_DEADLINE_S=-1: "),
        ({"HUBEL_API_KEY": "a", "HUBEL_API_KEY_FILE": "b"}, "api_key or api_key_file, not both"),
        ({"HUBEL_API_KEY_FILE": "/nowhere/key"}, "The key file /nowhere/key can't be read"),
        ({"HUBEL_DEVICE": "cuda"}, "CUDA can't be used"),
        ({"HUBEL_MODELS": "/nowhere"}, "HUBEL_MODELS=/nowhere: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_serve_with_wrong_settings_exits_with_2(environment, words):
    if "HUBEL_DEVICE" in environment:
        import onnxruntime

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            pytest.skip("CUDA is here")
    one_sentence(process("serve", **{"HUBEL_PORT": "0", **environment}), 2, words)


def test_serve_on_an_address_that_is_taken_exits_with_2():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        one_sentence(process("serve", "--port", port), 2, str(port))


def test_health_tells_of_a_service_that_is_not_there():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    one_sentence(process("health", HUBEL_PORT=str(port)), 1, "is not ready")


def test_health_asks_the_service(client, monkeypatch, hubel):
    monkeypatch.setenv("HUBEL_PORT", str(client.base_url.port))
    result = hubel("health")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["status"] == "ready"


def test_the_whole_way_in_a_process_of_its_own(imagenet):
    result = process("classify", imagenet / "golden/chelsea.jpg", "--top-k", 1)
    assert result.returncode == 0, result.stderr
    assert "Egyptian cat" in result.stdout


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_tells_of_every_command(hubel, command):
    result = hubel(*([command] if command else []), "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    if command is None:
        assert all(f"\n  {name} " in result.stdout for name in COMMANDS)


def test_the_version_is_told(hubel):
    from app import __version__

    assert hubel("--version").stdout == f"hubel, version {__version__}\n"


def test_an_unknown_command_exits_with_2(hubel):
    one_sentence(hubel("clasify"), 2, "No such command 'clasify'")


def test_the_help_is_there_without_loading_what_is_heavy():
    code = (
        "import sys; sys.argv = ['hubel', '--help']\n"
        "from app.cli import main\n"
        "try: main()\n"
        "except SystemExit: print({'onnxruntime', 'fastapi', 'numpy'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "set()"


def test_hubel_is_installed_as_a_command():
    found = Path(sys.executable).with_name("hubel")
    assert shutil.which(found), "pip install --editable . has not been run"
