"""`hubel train`, from a folder of photos to a bundle that serves."""

import io
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper
from PIL import Image

from app import vision
from app.bundle import MODEL_CARD, load, verify_files
from app.cli import main
from app.runtime.classifier import Query, classify
from app.runtime.loaded_model import load_model
from app.runtime.session import Session
from app.runtime.verify import run_golden
from training import gates
from training.data import layout
from training.data.photos import LIMITS, read_photos
from training.int8 import candidate
from training.int8.candidate import Candidate
from training.recipes import head_training
from training.recipes.backbone import DEFAULT_BUNDLE
from training.recipes.out_of_fold import OutOfFoldPredictor


def _train(*arguments):
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


@pytest.fixture
def train_small(small_backbone):
    """Train on a tiny network, where the data and the output matter alone."""
    return lambda *arguments: _train(*arguments, "--backbone", small_backbone)


@pytest.fixture(scope="module")
def unusual_data(tmp_path_factory, blob):
    """Make a folder with everything that goes wrong in practice."""
    data = tmp_path_factory.mktemp("odd") / "photos of blobs"
    for start, (hue, folder) in enumerate({"red": "κόκκινο", "green": "dark green"}.items()):
        (data / folder).mkdir(parents=True)
        for index in range(14):
            (data / folder / f"{index:02}.jpg").write_bytes(blob(hue, 100 * start + index))
    greek = data / "κόκκινο"
    (data / "nothing").mkdir()
    (greek / "corrupt.jpg").write_bytes(blob("red", 50)[:600])
    (greek / "moving.gif").write_bytes(blob("red", 51, "GIF"))
    (greek / "notes.txt").write_text("taken in May")
    (greek / "small.png").write_bytes(blob("red", 52, "PNG", size=40))
    (greek / "layers.psd").write_bytes(b"8BPS\0\1" + bytes(200))
    shutil.copy(greek / "00.jpg", greek / "copy of 00.jpg")
    shutil.copy(greek / "01.jpg", data / "dark green" / "mistaken.jpg")
    (greek / "later").mkdir()
    (greek / "later" / "again.jpg").write_bytes(blob("red", 2, quality=40))
    return data


@pytest.fixture(scope="module")
def trained(unusual_data):
    output = unusual_data.parent / "bundles" / "blobs"
    result = _train(unusual_data, "--output", output, "--accept-precision", "0.8")
    assert result.exit_code == 0, result.output
    return output, result.output


def test_the_promised_precision_is_in_the_bundle_its_card_and_its_report(trained):
    folder, output = trained
    decision = load(folder).manifest.decision
    assert (decision.precision, decision.confidence) == (0.8, 0.95)
    assert decision.on == "photos of blobs, train and val out of fold"
    assert decision.tested.on == "photos of blobs, its test split"
    assert "promised: 80 % of the accepted predictions are right (95 % confidence)" in output
    card = " ".join((folder / MODEL_CARD).read_text("utf-8").split())
    assert "Promised: at least 80.0 % of the accepted predictions are right" in card
    assert "Precision of accepted predictions by coverage" in (
        folder / "report" / "index.html"
    ).read_text("utf-8")


def test_doubtful_labels_are_listed_beside_the_report(trained):
    folder, output = trained
    assert "labels: " in output
    table = (folder / "report" / "suspects.csv").read_text("utf-8")
    assert table.startswith("file,label,suggested,")
    assert "report/suspects.csv" in load(folder).manifest.files


def test_fixes_rename_a_label_and_drop_a_photo_of_the_next_run(data, tmp_path, train_small):
    (data / "red" / "x.jpg").write_bytes((data / "green" / "00.jpg").read_bytes())
    before = sorted((path.name, path.stat().st_mtime_ns) for path in data.rglob("*"))
    table = tmp_path / "fixes.csv"
    table.write_text("file,fix\nred/x.jpg,green\nred/01.jpg,drop\n")
    output = tmp_path / "out"
    result = train_small(data, "--output", output, "--fixes", table)
    assert result.exit_code == 0, result.output
    assert "fixes: 1 photos relabelled, 1 left out" in result.output
    assert "The same photo under two labels" not in result.output
    assert "2 classes: green 12, red 11" in result.output
    assert load(output).manifest.training.arguments["fixes"] == "fixes.csv"
    assert sorted((path.name, path.stat().st_mtime_ns) for path in data.rglob("*")) == before


@pytest.mark.parametrize(
    ("fix_of", "words"),
    [
        ({"red": "drop", "green": "drop"}, "leave out all photos of data. Correct the table."),
        ({"red": "drop"}, "leave no class of data but 'green', and a classifier needs two"),
        ({"red": "green"}, "leave no class of data but 'green', and a classifier needs two"),
    ],
    ids=["all dropped", "a class dropped", "a class relabelled"],
)
def test_fixes_that_leave_too_few_classes_are_named(data, tmp_path, fix_of, words):
    rows = [f"{hue}/{index:02}.jpg,{fix}" for hue, fix in fix_of.items() for index in range(12)]
    table = tmp_path / "fixes.csv"
    table.write_text("\n".join(["file,fix", *rows]))
    result = _train(data, "--output", tmp_path / "out", "--fixes", table)
    assert result.exit_code == 2
    assert f"Error: The fixes of {table} {words}" in result.output


def test_a_promise_that_too_few_photos_were_given_for_ends_before_training(unusual_data, tmp_path):
    result = _train(unusual_data, "--output", tmp_path / "x", "--accept-precision", "0.99")
    assert result.exit_code == 1
    assert "0.99 can't be promised with" in result.output
    assert "299 are needed" in result.output
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "line",
    [
        "Files that can't be used, skipped (3): κόκκινο/corrupt.jpg (",
        "κόκκινο/notes.txt (This is text, not an image)",
        "κόκκινο/layers.psd (This is PSD, which isn't read here)",
        "GIFs, of which the first frame is used (1): κόκκινο/moving.gif",
        "Photos under 64 pixels high or wide (1): κόκκινο/small.png (40x40)",
        "The same photo under two labels, left out (1): dark green/mistaken.jpg = κόκκινο/01.jpg",
        "Copies of one file, of which one is used (1): κόκκινο/00.jpg = κόκκινο/copy of 00.jpg",
        "kept on one side of the split (1): κόκκινο/02.jpg = κόκκινο/later/again.jpg",
        "Folders without any file, left out as classes (1): nothing",
        "Folders inside a class; their photos count for it (1): κόκκινο/later",
        "Class names with spaces or letters beyond ASCII (2): dark green; κόκκινο",
        "36 files (31 JPEG, 1 GIF, 1 PNG); 30 photos used",
        "2 classes: dark green 14, κόκκινο 16",
    ],
)
def test_unusual_data_is_reported(trained, line):
    output, log = trained
    assert line in log
    assert line in (output / "README.md").read_text(encoding="utf-8")


def test_the_bundle_is_complete_and_passes_its_own_test(trained):
    output, log = trained
    bundle = load(output)
    verify_files(bundle)
    manifest = bundle.manifest
    assert [label.name for label in manifest.labels] == ["dark green", "κόκκινο"]
    assert (manifest.name, manifest.training.recipe) == ("blobs", "head")
    assert manifest.training.arguments["data"] == "photos of blobs"
    assert str(output.parent) not in (output / "bundle.json").read_text()
    assert sum(manifest.training.arguments["photos"].values()) == 30
    assert "int8 is left out: there are fewer than 300 photos to compare it on" in log
    assert manifest.precisions == ("fp32",)
    results = run_golden(Session(bundle.model_path("fp32"), "cpu", "fp32"), bundle)
    assert len(results) == 4
    assert all(result.difference < 1e-6 for result in results)
    assert [path.name for path in output.parent.iterdir()] == ["blobs"]


def test_drift_has_its_baseline_which_card_and_report_tell_of(trained):
    folder = trained[0]
    baseline = load(folder).manifest.baseline
    assert sum(baseline.decisions.values()) == baseline.images
    session = Session(folder / "model.onnx", "cpu", "fp32")
    width = session.outputs["embedding"][1][1]
    assert len(baseline.embeddings["fp32"].mean) == width
    assert 1 <= baseline.embeddings["fp32"].dimensions < baseline.images
    card = " ".join((folder / MODEL_CARD).read_text("utf-8").split())
    assert f"with those on the {baseline.images} photos of the test: the decisions (accep" in card
    assert "What drift is measured against" in (folder / "report/index.html").read_text("utf-8")


def test_the_report_is_hashed_and_names_the_findings(trained):
    output, _ = trained
    assert "report/index.html" in load(output).manifest.files
    text = (output / "report" / "index.html").read_text(encoding="utf-8")
    for expected in (
        "dark green/mistaken.jpg",
        "κόκκινο/01.jpg",
        "κόκκινο/notes.txt",
        "out of fold",
    ):
        assert expected in text
    for section in ("data", "learning", "calibration", "unknown", "examples"):
        assert f'<section id="{section}">' in text
    assert str(output.parent) not in text


def test_golden_photos_are_small_canvases_of_the_test_split(trained):
    bundle = load(trained[0])
    for photo in bundle.manifest.golden.photos:
        data = bundle.path(photo.file).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.size, dict(image.getexif())) == ("JPEG", (480, 480), {})
        assert photo.source.startswith("photos of blobs/")


def test_an_evaluation_of_it_has_a_report_with_familiarity(trained, blob, tmp_path):
    for hue, folder in {"red": "κόκκινο", "green": "dark_green"}.items():
        (tmp_path / "others" / folder).mkdir(parents=True)
        for index in range(3):
            (tmp_path / "others" / folder / f"{index}.jpg").write_bytes(blob(hue, 700 + index))
    (tmp_path / "others" / "dark_green" / "broken.jpg").write_bytes(b"GIF")
    folder = tmp_path / "report"
    arguments = ("evaluate", trained[0], tmp_path / "others", "--report", folder)
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 1
    assert "1 photos have no result" in result.stderr
    text = (folder / "index.html").read_text(encoding="utf-8")
    for expected in (
        "6 of 6",
        "familiarity is under",
        "Without the temperature",
        "dark_green/0.jpg",
    ):
        assert expected in text
    assert "dark_green/broken.jpg (This is text, not an image" in text


def test_the_bundle_recognises_its_classes_and_rejects_others(trained, blob):
    model = load_model(trained[0], "cpu")
    for hue, label in (("red", "κόκκινο"), ("green", "dark green")):
        result = classify(blob(hue, 900), model, Query(), LIMITS)
        assert (result.predictions[0].label, result.decision) == (label, "accepted")
    lines = np.indices((480, 480)).sum(axis=0) // 8 % 2 * 255
    stripes = np.repeat(lines[..., None], 3, axis=2).astype(np.uint8)
    assert classify(stripes, model, Query(), LIMITS).decision == "unknown"


def test_the_same_seed_makes_the_same_bundle(trained, unusual_data, tmp_path):
    again = tmp_path / "again"
    command = [sys.executable, "-m", "training", unusual_data, "--output", again, "--name", "blobs"]
    promise = ["--accept-precision", "0.8"]
    subprocess.run([*command, *promise], check=True, capture_output=True)
    first, second = load(trained[0]).manifest, load(again).manifest
    of_the_run = {"training", "files"}
    assert first.model_dump(exclude=of_the_run) == second.model_dump(exclude=of_the_run)
    for weight, other in zip(_weights(trained[0]), _weights(again), strict=True):
        assert weight == pytest.approx(other, abs=1e-6)
    assert first.training.data == second.training.data
    assert first.files["report/index.html"] == second.files["report/index.html"]


def _weights(folder):
    graph = onnx.load(folder / "model.onnx").graph
    names = ("head.weight", "head.bias", "temperature", "prototypes")
    return [numpy_helper.to_array(t) for t in graph.initializer if t.name in names]


def _timed(speedup):
    """Return `gates.run_alternately` with times that don't depend on this processor."""
    measured = gates.run_alternately

    def run_alternately(fp32, int8, pixels):
        *probabilities, seconds = measured(fp32, int8, pixels)
        return *probabilities, np.ones_like(seconds) * [speedup, 1.0]

    return run_alternately


def test_a_slower_int8_graph_is_not_compared_further(data, tmp_path, monkeypatch):
    monkeypatch.setattr(gates, "INT8_MIN_LABELLED", 5)
    monkeypatch.setattr(gates, "run_alternately", _timed(0.8))
    predict = OutOfFoldPredictor.predict

    def predict_fp32(self, session, *arguments):
        assert session.precision == "fp32"
        return predict(self, session, *arguments)

    monkeypatch.setattr(OutOfFoldPredictor, "predict", predict_fp32)
    result = _train(data, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "int8 is left out: it takes 1.25 times as long as fp32\n" in result.output
    assert load(tmp_path / "out").manifest.precisions == ("fp32",)
    card = (tmp_path / "out" / MODEL_CARD).read_text()
    assert "no int8 graph: it takes 1.25 times as long as fp32, on one thread" in card
    report = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "int8 is left out: it takes 1.25 times as long as fp32." in report


def test_an_int8_graph_that_passes_its_gates_is_in_the_bundle(data, tmp_path, monkeypatch):
    monkeypatch.setattr(gates, "INT8_MIN_LABELLED", 5)
    monkeypatch.setattr(gates, "INT8_MIN_IMAGES", 5)
    monkeypatch.setattr(gates, "run_alternately", _timed(2.0))
    result = _train(data, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    bundle = load(tmp_path / "out")
    manifest = bundle.manifest
    assert manifest.precisions == ("fp32", "int8")
    assert manifest.metrics["int8"].top1 == 1
    assert {"fp32", "int8"} == set(manifest.golden.expected)
    assert "int8 on 24 photos: it keeps its top-1" in result.output
    session = Session(bundle.model_path("int8"), "cpu", "int8")
    pixels = np.zeros((1, 240, 240, 3), np.uint8)
    assert session.outputs_of(["familiarity"], pixels)[0].shape == (1,)


def test_a_given_split_is_used(data, tmp_path, train_small):
    for index, part in enumerate(("train", "test")):
        for hue in ("red", "green"):
            (tmp_path / "given" / part / hue).mkdir(parents=True)
            for file in sorted((data / hue).iterdir())[8 * index : 8 * index + 8]:
                shutil.copy(file, tmp_path / "given" / part / hue)
    shutil.copy(data / "red" / "00.jpg", tmp_path / "given" / "test" / "red" / "leak.jpg")
    result = train_small(tmp_path / "given", "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "split: train 14, val 2, test 9 (as given)" in result.output
    assert "figures are too high (1): test/red/leak.jpg = train/red/00.jpg" in result.output
    assert load(tmp_path / "out").manifest.metrics["fp32"].images == 9


def test_a_given_part_without_photos_is_named(data, tmp_path, train_small):
    given = tmp_path / "given"
    given.mkdir()
    shutil.copytree(data, given / "train")
    shutil.copytree(data / "red", given / "test", ignore=shutil.ignore_patterns("1*"))
    result = train_small(given, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "Parts of the given split without any photo that is used" in result.output
    assert "split off train instead (1): test" in result.output
    assert "split: train 16, val 4, test 4 (train as given)" in result.output


def test_pixels_are_those_that_serving_reads(data, tmp_path):
    spec = load(DEFAULT_BUNDLE).manifest.input
    other = spec.model_copy(update={"size": 32})
    photos, _, (pixels, small) = read_photos(
        layout.scan_folder(data).files, [spec, other], tmp_path
    )
    for photo in photos[:3]:
        picture = vision.decode(photo.file.path.read_bytes(), LIMITS)
        assert (pixels[photo.row] == vision.resize(picture, spec)).all()
        assert (small[photo.row] == vision.resize(picture, other)).all()


def test_ctrl_c_of_the_recipe_head_leaves_nothing_behind(data, tmp_path, monkeypatch):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(head_training, "fit_head", interrupted)
    result = _train(data, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "Aborted!" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_checkpoint_of_another_recipe_is_kept_and_no_hint_says_that_head_resumes(
    data, tmp_path, train_small, monkeypatch
):
    state = tmp_path / ".out.checkpoint" / "state.pt"
    state.parent.mkdir()
    state.write_text("of a run of finetune")

    def interrupted(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(head_training, "fit_head", interrupted)
        assert "--resume" not in train_small(data, "--output", tmp_path / "out").output
    assert train_small(data, "--output", tmp_path / "out").exit_code == 0
    assert state.read_text() == "of a run of finetune"


def test_nothing_is_written_on_a_parity_miss(data, tmp_path, monkeypatch):
    monkeypatch.setattr(gates, "PARITY", -1.0)
    result = _train(data, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "differs from scikit-learn" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def _check_rejected(result, *words):
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert all(word in result.stderr for word in words), result.stderr


def test_too_few_photos_are_rejected_with_the_reason(data, tmp_path):
    output = tmp_path / "out"
    for file in sorted((data / "green").iterdir())[4:]:
        file.unlink()
    _check_rejected(
        _train(data, "--output", output), "1 of 2 classes have too few", "green (4)", "--skip-small"
    )
    shutil.rmtree(data / "green")
    _check_rejected(_train(data, "--output", output), "there is only 'red'")
    shutil.rmtree(data / "red")
    _check_rejected(_train(data, "--output", output), "has no class folders with files")
    (data / "red").mkdir()
    (data / "red" / "a.txt").write_text("no photo")
    _check_rejected(_train(data, "--output", output), "None of the 1 files", "red/a.txt")
    assert not output.exists()


def test_small_classes_are_left_out_where_asked(data, tmp_path, train_small, blob):
    for name, count in (("tiny", 2), ("small", 4)):
        (data / name).mkdir()
        for index in range(count):
            (data / name / f"{index}.jpg").write_bytes(blob("blue", 500 + 10 * count + index))
    output = tmp_path / "out"
    _check_rejected(train_small(data, "--output", output), "2 of 4 classes", "small (4), tiny (2)")
    result = train_small(data, "--output", output, "--skip-small", "--min-photos", 3)
    assert result.exit_code == 0, result.output
    assert "Classes with too few photos, left out (--skip-small) (1): tiny 2" in result.output
    assert [label.name for label in load(output).manifest.labels] == ["green", "red", "small"]
    (data / "green" / "00.jpg").unlink()
    result = train_small(data, "--output", output, "--skip-small", "--min-photos", 12)
    _check_rejected(result, "Every class but 'red' has fewer than 12 photos")


def test_a_flat_folder_with_labels_in_a_table_is_trained_on_and_measured(
    data, tmp_path, train_small
):
    rows = ["file,labels"]
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in sorted(data.rglob("*.jpg")):
        name = f"{file.parent.name}_{file.name}"
        shutil.copy(file, flat / name)
        rows.append(f"{name},{file.parent.name}")
    _check_rejected(
        train_small(flat, "--output", tmp_path / "out"), "holds 24 photos, but none has a"
    )
    (flat / "labels.csv").write_text("\n".join(rows))
    result = train_small(flat, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "2 classes: green 12, red 12" in result.output
    arguments = ["evaluate", tmp_path / "out", flat, "--labels-from"]
    for form in ("labels.csv", "filename"):
        measured = CliRunner().invoke(main, [*map(str, arguments), form])
        assert "24 photos" in measured.output, measured.output
    (flat / "labels.csv").write_text("\n".join([*rows, "red_11.jpg,green"]))
    result = train_small(flat, "--output", tmp_path / "out", "--task", "single_label")
    assert "with different labels, left out (1): red_11.jpg (green; red)" in result.output
    assert "2 classes: green 12, red 11" in result.output
    (flat / "labels.csv").write_text("\n".join([*rows[:-1], rows[-1] + ";blurred"]))
    _check_rejected(
        train_small(flat, "--output", tmp_path / "new"),
        "1 of 3 labels can't be learnt",
        "--skip-small",
    )


def test_an_unclear_split_is_an_error_where_no_terminal_can_be_asked(data, tmp_path, train_small):
    for part, numbers in (("a", range(8)), ("b", range(8, 12))):
        for hue in ("red", "green"):
            (tmp_path / "parts" / part / hue).mkdir(parents=True)
            for number in numbers:
                shutil.copy(data / hue / f"{number:02}.jpg", tmp_path / "parts" / part / hue)
    arguments = (tmp_path / "parts", "--output", tmp_path / "out")
    _check_rejected(train_small(*arguments), "Add --split train=a,test=b", "--split none")
    _check_rejected(train_small(*arguments, "--split", "a,b"), "is not like train=A,val=B,test=C")
    _check_rejected(train_small(*arguments, "--split", "test=b"), "has no folder for train")
    twice = train_small(*arguments, "--split", "train=a,test=a")
    _check_rejected(twice, "names the folder a twice")
    result = train_small(*arguments, "--split", "train=a,test=b")
    assert "split: train 14, val 2, test 8 (as given)" in result.output


def test_many_findings_are_listed_in_a_file_of_the_bundle(data, tmp_path, train_small):
    for number in range(7):
        (data / "red" / f"note {number}.txt").write_text("no photo")
    (data / "red" / "loop").symlink_to(data)
    result = train_small(data, "--output", tmp_path / "out")
    assert "note 3.txt (This is text" in result.output or "note 3.txt (The file" in result.output
    assert "and 3 more, listed in report/findings.txt" in result.output
    text = (tmp_path / "out" / "report" / "findings.txt").read_text()
    assert text.count("red/note ") == 7
    assert "red/loop (it leads to a folder that is read already)" in text
    assert "report/findings.txt" in load(tmp_path / "out").manifest.files


def test_five_photos_of_each_class_are_enough(data, tmp_path, train_small):
    for photo in data.rglob("*.jpg"):
        if int(photo.stem) >= 5:
            photo.unlink()
    result = train_small(data, "--output", tmp_path / "few")
    assert result.exit_code == 0, result.output
    assert load(tmp_path / "few").manifest.training.arguments["photos"] == {
        "train": 6,
        "val": 2,
        "test": 2,
    }


def test_a_full_disk_is_reported_before_photos_are_read(data, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    result = _train(data, "--output", tmp_path / "pets")
    _check_rejected(result, "pixels of 24 photos take 4 MB", "1 MB are free", "Make room")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_output_may_be_the_working_directory(data, tmp_path, train_small, monkeypatch):
    (tmp_path / "pets").mkdir()
    monkeypatch.chdir(tmp_path / "pets")
    result = train_small(data, "--output", ".")
    assert result.exit_code == 0, result.output
    assert load(tmp_path / "pets").manifest.name == "pets"


def test_training_again_keeps_what_is_not_the_bundles_own(data, tmp_path, train_small):
    output = tmp_path / "pets"
    assert train_small(data, "--output", output).exit_code == 0
    (output / "notes.txt").write_text("precious")
    _check_rejected(train_small(data, "--output", output), "holds notes.txt", "Add --force")
    result = train_small(data, "--output", output, "--force", "--seed", 1)
    assert result.exit_code == 0, result.output
    assert "kept beside the bundle: notes.txt\n" in result.output
    assert "made pets version 1\n" in result.output
    assert (output / "notes.txt").read_text() == "precious"
    manifest = load(output).manifest
    assert manifest.training.seed == 1
    version = train_small(data, "--output", output / "2")
    assert "made pets version 2\n" in version.output
    assert (output / "notes.txt").exists()
    flat = train_small(data, "--output", output, "--force")
    assert "made pets version 1; " in flat.output
    assert "is version 2, and the highest serves\n" in flat.output
    _check_rejected(train_small(data, "--output", output, "--force", "--version", 2), "--version 3")


def test_existing_files_at_the_output_are_kept_unless_they_are_a_bundle(data, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    _check_rejected(_train(data, "--output", tmp_path / "mine"), "exists and is not a bundle")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    _check_rejected(_train(data, "--output", data / "out"), "must not contain each other")
    _check_rejected(
        _train(data, "--output", tmp_path / "My Model"), "'My Model' can't be a model's name"
    )
    _check_rejected(_train(tmp_path / "none", "--output", tmp_path / "out"), "does not exist")
    _check_rejected(_train(data, "--output", tmp_path / "out", "--recipe", "magic"), "'magic'")


def test_a_rejected_int8_graph_of_the_recipe_is_replaced_by_a_calibrated_one(
    data, tmp_path, monkeypatch
):
    monkeypatch.setattr(gates, "INT8_MIN_LABELLED", 5)
    monkeypatch.setattr(gates, "INT8_MIN_IMAGES", 5)
    monkeypatch.setattr(gates, "run_alternately", _timed(2.0))
    judged = []

    def keep(file, fp32, int8, comparison):
        judged.append((file.read_bytes(), comparison.rows))
        result = keep_original(file, fp32, int8, comparison)
        return result if len(judged) > 1 else Candidate(None, result.result)

    keep_original = candidate.keep_if_it_passes
    monkeypatch.setattr(candidate, "keep_if_it_passes", keep)
    result = _train(data, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    (backbone, all_photos), (calibrated, others) = judged
    assert backbone != calibrated
    assert (len(all_photos), len(others)) == (24, 14)
    assert "int8 on 14 photos" in result.output
    assert load(tmp_path / "out").path("model.int8.onnx").read_bytes() == calibrated
