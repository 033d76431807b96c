"""Labelled folders, their classification, and the figures of an evaluation."""

import hashlib
import math

import numpy as np
import pytest

from app import vision
from app.bundle import Label, record_files
from app.bundle.photo_record import PHOTO_RECORD, write_photo_record
from app.cli.output import evaluation_table
from app.dataset.files import list_below
from app.errors import BadParameter, BrokenImage, NotAnImage
from app.runtime.bulk import classify_files
from app.runtime.classifier import Query
from app.runtime.engine import Engine
from app.runtime.evaluation.labelled_folder import labelled_photos
from app.runtime.evaluation.measure import evaluate
from app.runtime.loaded_model import load_model

LIMITS = vision.Limits(max_bytes=10_000_000, max_pixels=10_000_000)
LABELS = (
    Label(name="Egyptian cat", id="n02124075"),
    Label(name="tench", id="n01440764"),
    Label(name="crane bird"),
)


@pytest.fixture
def engine():
    with Engine(threads=2, deadline_s=60) as engine:
        yield engine


@pytest.fixture
def folders(tmp_path, photo):
    """Return a function that writes a folder of files.

    They are photos of a colour, {"red/1.jpg": "red"}, or given bytes.
    """

    def make(files):
        for name, content in files.items():
            file = tmp_path / "data" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else photo(content, (64, 64)))
        return tmp_path / "data"

    return make


@pytest.mark.parametrize(
    ("folder", "index"),
    [
        ("Egyptian cat", 0),
        ("Egyptian_cat", 0),
        ("egyptian CAT", 0),
        ("n02124075", 0),
        ("N01440764", 1),
        ("crane_bird", 2),
    ],
)
def test_a_folder_is_named_by_label_or_id_in_any_spelling(folders, folder, index):
    data = folders({f"{folder}/a.jpg": "red"})
    assert [p.index for p in labelled_photos(data, LABELS)] == [index]


def test_an_id_takes_precedence_over_another_labels_name(folders):
    labels = (Label(name="one", id="two"), Label(name="two", id="three"))
    data = folders({"two/a.jpg": "red"})
    assert [p.index for p in labelled_photos(data, labels)] == [0]


def test_a_folder_that_is_no_label_is_refused_by_its_name(folders):
    data = folders({"tench/a.jpg": "red", "unicorn/a.jpg": "red", "zebra/a.jpg": "red"})
    with pytest.raises(BadParameter, match=r"2 folders of .* the first is 'unicorn'"):
        labelled_photos(data, LABELS)


@pytest.mark.parametrize(
    ("parts", "used"),
    [
        (("train", "val", "test"), "test"),
        (("train", "val"), "val"),
        (("train", "test"), "test"),
        (("train", "validation"), "validation"),
    ],
)
def test_the_test_part_of_a_split_is_measured(folders, parts, used):
    data = folders({f"{part}/tench/a.jpg": "red" for part in parts})
    assert [p.path for p in labelled_photos(data, LABELS)] == [data / used / "tench/a.jpg"]


def test_a_label_named_like_a_part_is_a_label(folders):
    data = folders({"test/a.jpg": "red", "train/b.jpg": "red"})
    found = labelled_photos(data, (Label(name="train"), Label(name="test")))
    assert [(p.path.name, p.index) for p in found] == [("a.jpg", 1), ("b.jpg", 0)]


def test_photos_are_found_at_any_depth_in_order_and_other_files_are_skipped(folders):
    names = ["tench/b.PNG", "tench/a.jpeg", "tench/more/c.webp", "tench/z.bmp"]
    other = ["tench/notes.txt", "tench/.hidden.jpg", ".cache/x.jpg", "tench/.d/x.jpg", "at-top.jpg"]
    data = folders(dict.fromkeys(names, "red") | dict.fromkeys(other, b"no photo"))
    found = [str(p.path.relative_to(data)) for p in labelled_photos(data, LABELS)]
    assert found == ["tench/a.jpeg", "tench/b.PNG", "tench/more/c.webp", "tench/z.bmp"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"tench/notes.txt": b""}, "has no photos in folders"),
        ({"a.jpg": "red"}, "holds 1 photos, but none in a folder that names its label"),
    ],
)
def test_a_folder_without_labelled_photos_is_refused(folders, files, words):
    with pytest.raises(BadParameter, match=words):
        labelled_photos(folders(files), LABELS)


@pytest.mark.parametrize(
    ("files", "used"),
    [
        ({"Test/tench/a.jpg": "red", "Train/tench/b.jpg": "red"}, "Test/tench/a.jpg"),
        ({"seg_test/seg_test/tench/a.jpg": "red"}, "seg_test/seg_test/tench/a.jpg"),
        ({"dev/tench/a.jpg": "red", "training/tench/b.jpg": "red"}, "dev/tench/a.jpg"),
        ({"labels.csv": b"file,labels\na.jpg,tench\n", "a.jpg": "red"}, "a.jpg"),
        ({"test/labels.csv": b"file,labels\na.jpg,tench\n", "test/a.jpg": "red"}, "test/a.jpg"),
    ],
)
def test_the_layouts_of_training_are_measured(folders, files, used):
    data = folders(files)
    assert [photo.path for photo in labelled_photos(data, LABELS)] == [data / used]


def test_a_split_without_photos_to_measure_on_is_refused(folders):
    with pytest.raises(BadParameter, match="has photos to train on alone"):
        labelled_photos(folders({"training/tench/b.jpg": "red"}), LABELS)


def test_results_come_in_the_order_of_the_paths(folders, model, engine):
    colours = ["red", "green", "blue"] * 9
    data = folders({f"{i:02}.jpg": colour for i, colour in enumerate(colours)})
    paths = [data / f"{i:02}.jpg" for i in range(len(colours))]
    results = list(classify_files(paths, model, Query(1), LIMITS, engine))
    assert [path for path, _ in results] == paths
    assert [result.predictions[0].label for _, result in results] == colours


def test_few_photos_are_read_ahead(folders, model, engine):
    data = folders({f"{i:02}.jpg": "red" for i in range(40)})
    consumed = []

    def paths():
        for path in list_below(data).files:
            consumed.append(path)
            yield path

    results = classify_files(paths(), model, Query(1), LIMITS, engine)
    next(results)
    assert len(consumed) <= engine.threads * 4
    assert len(list(results)) == 39


def test_a_photo_that_cannot_be_used_yields_its_error_in_its_place(folders, model, engine, photo):
    data = folders({"1.jpg": "red", "2.jpg": b"text", "3.jpg": photo("red")[:300], "5.jpg": "blue"})
    paths = [*list_below(data).files, data / "6.jpg"]
    results = [result for _, result in classify_files(paths, model, Query(1), LIMITS, engine)]
    assert results[0].predictions[0].label == "red"
    assert isinstance(results[1], NotAnImage)
    assert isinstance(results[2], BrokenImage)
    assert results[3].predictions[0].label == "blue"
    assert isinstance(results[4], BadParameter)
    assert "6.jpg can't be read (No such file" in str(results[4])


def test_the_figures_are_those_computed_by_hand(folders, model, engine):
    """Red has two photos of which one is green, green has one, and blue has only a broken one."""
    data = folders(
        {
            "red/1.jpg": "red",
            "red/2.jpg": "green",
            "id-green/1.jpg": "green",
            "blue/broken.jpg": b"text",
        }
    )
    photos = labelled_photos(data, model.manifest.labels)
    result = evaluate(model, photos, LIMITS, engine)
    assert (result.model, result.version, result.precision) == ("colours", 1, "fp32")
    assert result.images == 3
    assert result.top1 == pytest.approx(2 / 3)
    assert result.top5 == 1
    # all three predictions have the same confidence, in one bin: |confidence - 2/3|
    logit = (230 - 20) / 128 * 8
    confidence = 1 / (1 + 2 * math.exp(-logit))
    assert result.ece == pytest.approx(confidence - 2 / 3, abs=1e-3)
    by_label = {c["label"]: c for c in result.per_class}
    assert by_label.keys() == {"red", "green"}
    assert by_label["red"]["images"] == 2
    assert by_label["red"]["recall"] == 0.5
    assert by_label["red"]["precision"] == 1
    assert by_label["green"]["recall"] == 1
    assert by_label["green"]["precision"] == 0.5
    (failed,) = result.failed
    assert failed["path"].endswith("blue/broken.jpg")
    assert "not an image" in failed["error"]


def test_accepted_predictions_are_counted_beside_the_promise(folders, engine, make_bundle, rewrite):
    folder = make_bundle(sharpness=8.0).folder
    photos = {"red/1.jpg": "red", "red/2.jpg": "green", "green/1.jpg": (130, 140, 120)}
    data = folders(photos)
    listed = labelled_photos(data, load_model(folder, "cpu").manifest.labels)
    assert evaluate(load_model(folder, "cpu"), listed, LIMITS, engine).coverage is None
    rewrite(folder, {"decision": {"accept_from": 0.9, "precision": 0.99}})
    result = evaluate(load_model(folder, "cpu"), listed, LIMITS, engine)
    assert result.coverage == pytest.approx(2 / 3), "the grey photo is unsure"
    assert (result.accepted_precision, result.promised_precision) == (0.5, 0.99)
    line = next(line for line in evaluation_table(result).splitlines() if "accepted" in line)
    assert line.startswith("accepted  2 of 3 predictions, of which right: 50.0 % (95 %: ")
    assert line.endswith("; promised: 99 %")


def test_progress_receives_every_photo(folders, model, engine):
    photos = labelled_photos(
        folders({"red/1.jpg": "red", "blue/1.jpg": b"text"}), model.manifest.labels
    )
    names = []

    def progress(results):
        for result in results:
            names.append(result[0].name)
            yield result

    evaluate(model, photos, LIMITS, engine, progress)
    assert names == ["1.jpg", "1.jpg"]


def test_photos_of_which_none_can_be_used_are_refused(folders, model, engine):
    photos = labelled_photos(folders({"red/1.jpg": b"text"}), model.manifest.labels)
    with pytest.raises(
        BadParameter, match="None of the photos can be used; the first: This is text"
    ):
        evaluate(model, photos, LIMITS, engine)


def test_figures_are_plain_numbers(folders, model, engine):
    import json
    from dataclasses import asdict

    photos = labelled_photos(folders({"red/1.jpg": "red"}), model.manifest.labels)
    result = evaluate(model, photos, LIMITS, engine)
    assert json.loads(json.dumps(asdict(result))) == asdict(result)
    assert not isinstance(result.top1, np.generic)


def test_photos_that_the_model_learnt_from_are_counted(folders, engine, make_bundle, rewrite):
    bundle = make_bundle()
    colours = ["red", "green", (200, 10, 10), (10, 200, 10)]
    data = folders(
        {f"{'red' if n % 2 == 0 else 'green'}/{n}.jpg": c for n, c in enumerate(colours)}
    )
    listed = labelled_photos(data, bundle.manifest.labels)
    result = evaluate(load_model(bundle.folder, "cpu"), listed, LIMITS, engine)
    assert result.learnt is None
    assert "learnt" not in evaluation_table(result)
    hashes = [hashlib.sha256(photo.path.read_bytes()).hexdigest() for photo in listed]
    parts = ["train", "backbone", "test"]
    write_photo_record(dict(zip(hashes, parts, strict=False)), bundle.folder)
    (found,) = record_files(bundle.folder, [PHOTO_RECORD]).values()
    rewrite(bundle.folder, {f"files/{PHOTO_RECORD}": found.model_dump()})
    result = evaluate(load_model(bundle.folder, "cpu"), listed, LIMITS, engine)
    assert (result.learnt, result.images) == (2, 4)
    assert "learnt from 2 of these 4 photos" in evaluation_table(result)
