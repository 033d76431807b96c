"""Parity with a script of the user's: differences are shown, and a large one ends the import."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from app.bundle import Label, load
from training.importing import reference_file
from training.importing.script_parity import DEFAULT_TOLERANCE
from training.packaging import default_golden

NAMES = ("rocket.jpg", "camera.jpg", "chelsea.jpg")


@pytest.fixture
def script(saved, tmp_path, original):
    """A file, photos, and what a script with Pillow gives for them: their names and rows (3, 3)."""
    file = saved()

    def prepared(image, channels="rgb"):
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        return np.asarray(image.resize((32, 32), Image.Resampling.BOX, box))

    (tmp_path / "photos").mkdir()
    images = []
    for name in NAMES:
        shutil.copyfile(default_golden.FOLDER / name, tmp_path / "photos" / name)
        images.append(prepared(Image.open(tmp_path / "photos" / name).convert("RGB")))
    return file, tmp_path / "photos", original(file, images=images)


def _numbers(row):
    return ",".join(f"{value:.6f}" for value in row)


def _written(folder, rows, form):
    photos = dict(zip(NAMES, rows.tolist(), strict=True))
    labels = ("red", "green", "blue")
    by_label = {name: dict(zip(labels, row, strict=True)) for name, row in photos.items()}
    best = {name: [{"label": "red", "score": row[0]}] for name, row in photos.items()}
    documents = {
        "lists": photos,
        "by label": by_label,
        "by index": {name: dict(enumerate(row)) for name, row in photos.items()},
        "objects": [{"file": name, "probabilities": row} for name, row in photos.items()],
        "best": [{"image": name, "predictions": each} for name, each in best.items()],
    }
    if form in documents:
        (folder / "script.json").write_text(json.dumps(documents[form]))
        return folder / "script.json"
    columns = ("blue", "red", "green")
    lines = [
        ",".join(["file", *columns]),
        *(",".join([name, *(str(row[c]) for c in columns)]) for name, row in by_label.items()),
    ]
    (folder / "script.csv").write_text("\n".join(lines))
    return folder / "script.csv"


def test_differences_are_shown_for_each_photo(script, run_import, tmp_path):
    file, photos, rows = script
    options = [
        option
        for name, row in zip(NAMES, rows, strict=True)
        for option in ("--reference", f"{photos / name}={_numbers(row)}")
    ]
    result = run_import(file, *options)
    assert result.exit_code == 0, result.output
    shown = [line for line in result.stdout.splitlines() if line.startswith("reference ")]
    assert [line.split()[1] for line in shown] == [f"{name}:" for name in NAMES]
    reference = load(tmp_path / "mine").manifest.training.arguments["reference"]
    assert reference["photos"] == 3
    assert reference["mean"] <= reference["largest"] < reference["tolerance"] == DEFAULT_TOLERANCE


@pytest.mark.parametrize("form", ["lists", "by label", "by index", "objects", "best", "csv"])
def test_a_file_of_a_scripts_output_is_read(script, run_import, form):
    file, photos, rows = script
    result = run_import(file, "--reference", _written(photos, rows, form))
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\nreference ") == 3


@pytest.mark.parametrize("name", ["a\u2028b.jpg", "a\nb.jpg", "a\rb.jpg"])
def test_a_name_in_a_csv_file_may_hold_line_ends(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    table = tmp_path / "script.csv"
    table.write_text(f'file,cat,dog\r\n"{name}",0.9,0.1\r\n', encoding="utf-8", newline="")
    (reference,) = reference_file.read([str(table)], [Label(name="cat"), Label(name="dog")])
    assert (reference.photo, reference.probabilities) == (tmp_path / name, {0: 0.9, 1: 0.1})


@pytest.mark.parametrize("form", ["lists", "best", "csv"])
def test_a_difference_beyond_the_tolerance_ends_the_import(script, run_import, tmp_path, form):
    file, photos, rows = script
    rows[1] = np.eye(3)[rows[1].argmin()]  # the script is certain of what is least probable here
    result = run_import(file, "--reference", _written(photos, rows, form))
    assert result.exit_code == 1
    assert "is allowed, so nothing is written" in result.stderr
    assert "reference camera.jpg" in result.stdout
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (("--channels", "bgr"), "With --channels rgb"),
        (("--pixel-range", "255"), "With --pixel-range 1"),
        (("--crop", "0.3"), "With --crop 1"),
    ],
)
def test_the_options_that_come_nearer_are_named(script, run_import, wrong, hint):
    file, photos, rows = script
    options = ("--reference", _written(photos, rows, "lists"), "--reference-tolerance", "0.005")
    result = run_import(file, *wrong, *options)
    assert result.exit_code == 1, result.output
    assert hint in result.stderr


def test_within_the_tolerance_nearer_options_are_a_warning(script, run_import):
    file, photos, rows = script
    options = ("--reference", _written(photos, rows, "lists"), "--reference-tolerance", "1")
    result = run_import(file, "--channels", "bgr", *options)
    assert result.exit_code == 0
    assert "warning: With --channels rgb the mean difference is 0.0" in result.stdout
    assert "warning: With" not in run_import(file, *options).stdout


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"rocket.jpg": [0.5, 0.5]}', "there are 2 probabilities and 3 labels"),
        ('{"rocket.jpg": [0.5, 0.5, 0.5]}', "sum to 1.5, and not to 1"),
        ('{"rocket.jpg": [5.0, -2.0, 0.1]}', "are no probabilities"),
        ('{"rocket.jpg": {"purple": 1}}', "'purple' is none of the labels"),
        ('{"rocket.jpg": ["a", "b", "c"]}', "a probability is no number"),
        ('{"nothing.jpg": [1, 0, 0]}', "nothing.jpg doesn't exist"),
        ('{"script.json": [1, 0, 0]}', "A reference photo can't be read"),
        ("{}", "holds no reference probabilities"),
        ("[[1, 0, 0]]", "an element is no object"),
        ('{"rocket.jpg": [1', "holds no reference probabilities"),
        ("red,green,blue\n1,0,0\n", "its header has none of the columns"),
        ("file,red,green,blue\nrocket.jpg,1,0\n", "line 2 has 3 cells and the header 4"),
        ("file,red,green,blue\nrocket.jpg,1,x,0\n", "holds no reference probabilities"),
    ],
)
def test_wrong_references_are_refused(script, run_import, tmp_path, content, words):
    file, photos, _ = script
    (photos / "script.json").write_text(content)
    result = run_import(file, "--reference", photos / "script.json")
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("value", ["missing.json", "photo.jpg=", "photo.jpg=a,b,c"])
def test_a_value_that_is_no_reference_is_refused(saved, run_import, value):
    result = run_import(saved(), "--reference", value)
    assert result.exit_code == 2
    assert "is neither PHOTO=0.1,0.9 nor a file" in result.stderr
