"""`hubel calibrate`: a bundle gets thresholds, and stays sealed and otherwise the same."""

import hashlib
import io
import re
import shutil

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from PIL import Image

from app.bundle import MODEL_CARD, load, record_files, verify_files
from app.bundle.photo_record import PHOTO_RECORD, write_photo_record
from app.cli import main
from app.runtime.classifier import Query, classify
from app.runtime.loaded_model import load_model
from app.runtime.session import Session
from training.data.photos import LIMITS
from training.existing_bundle.calibrate import _link
from training.existing_bundle.card import with_thresholds

COLOURS = ("red", "green", "blue")
CARD = "# colours\n\nTiny.\n\n## Limits\n\nIt knows colours.\n"


def _picture(rgb):
    file = io.BytesIO()
    Image.new("RGB", (48, 48), tuple(int(value) for value in rgb)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of 90 photos: each of one colour, of which 30 are reddish, greenish and bluish."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for index, colour in enumerate(COLOURS):
        (folder / colour).mkdir()
        for number in range(30):
            rgb = rng.integers(0, 110, 3)
            rgb[index] = rng.integers(120, 256)
            (folder / colour / f"{number}.png").write_bytes(_picture(rgb))
    return folder


@pytest.fixture
def colours(make_bundle, graph):
    """A bundle whose graph has an embedding."""
    model = graph(2.0)
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["N", 3])
    )
    folder = make_bundle(graph=model).folder
    (folder / MODEL_CARD).write_text(CARD)
    return folder


def _calibrate(*arguments):
    return CliRunner().invoke(main, ["calibrate", *map(str, arguments)])


def _probabilities(folder):
    session = Session(folder / "model.onnx", "cpu", "fp32")
    return session.run(np.random.default_rng(1).integers(0, 256, (1, 32, 32, 3), np.uint8))


def test_a_bundle_with_an_embedding_gets_familiarity_and_a_promised_threshold(
    colours, photos, rewrite
):
    before = _probabilities(colours)
    result = _calibrate(colours, photos, "--accept-precision", "0.9")
    assert result.exit_code == 0, result.output
    bundle = load(colours)
    verify_files(bundle)
    assert bundle.manifest.unknown.score == "familiarity"
    assert bundle.manifest.unknown.accepts == pytest.approx(0.95, abs=0.02)
    decision = bundle.manifest.decision
    assert (decision.precision, decision.photos, decision.on) == (0.9, 90, photos.name)
    made_by = bundle.manifest.training.arguments["thresholds"]
    assert made_by["accept_precision"] == 0.9
    np.testing.assert_array_equal(_probabilities(colours), before)
    model = load_model(colours, "cpu")
    known = classify(_picture((230, 10, 10)), model, Query(), LIMITS)
    dark = classify(_picture((0, 0, 0)), model, Query(), LIMITS)
    assert (known.decision, dark.decision) == ("accepted", "unknown")
    assert "promised: 90 % of the accepted predictions are right" in result.output
    assert "unknown: familiarity under" in result.output
    _check_documents(colours, photos.name)
    rewrite(colours, {"training/data": made_by["fingerprint"]})
    refused = _calibrate(colours, photos)
    assert refused.exit_code == 2
    assert "The model was trained on 90 of the 90 photos of" in refused.output


def _check_documents(folder, data):
    """Card and report say where the thresholds come from."""
    card = " ".join((folder / MODEL_CARD).read_text().split())
    assert "Promised: at least 90.0 % of the accepted predictions are right" in card
    assert f"of the photos of {data} reach the threshold" in card
    assert card.index("## Accepted predictions") < card.index("## Limits")
    report = (folder / "report/index.html").read_text()
    assert "at least 90.0\u00a0% are right" in report
    assert "photos keep the promise" not in report, "these photos chose the threshold"
    assert "report/index.html" in load(folder).manifest.files


def test_a_report_of_the_training_stays_and_links_to_the_new_one(make_bundle, photos):
    page = b"<html><main>\nof the training\n</main></html>"
    folder = make_bundle(sharpness=2.0, report={"index.html": page}).folder
    assert _calibrate(folder, photos).exit_code == 0
    _link(folder / "report/index.html")
    index = (folder / "report/index.html").read_text()
    assert index.count('<a href="thresholds.html">') == 1
    assert "of the training" in index
    assert {"report/index.html", "report/thresholds.html"} <= set(load(folder).manifest.files)


def test_without_an_embedding_the_highest_probability_decides(make_bundle, photos, tmp_path):
    source = make_bundle(sharpness=2.0, int8_sharpness=2.0).folder
    before = (source / "bundle.json").read_bytes()
    output = tmp_path / "elsewhere" / "2"
    result = _calibrate(source, photos, "--output", output)
    assert result.exit_code == 0, result.output
    manifest = load(output).manifest
    assert (manifest.name, manifest.version) == ("colours", 2)
    assert manifest.unknown.score == "max_probability"
    assert manifest.decision is None
    assert (source / "bundle.json").read_bytes() == before
    assert load_model(output, "cpu").session.precision == "int8"


def test_a_rule_for_unknown_that_a_bundle_has_is_kept(make_bundle, rewrite, photos):
    folder = make_bundle(sharpness=2.0).folder
    rule = {"score": "max_probability", "threshold": 0.4, "accepts": 0.9}
    rewrite(folder, {"unknown": rule})
    assert _calibrate(folder, photos, "--accept-precision", "0.9").exit_code == 0
    assert load(folder).manifest.unknown.model_dump() == rule


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--accept-precision", "0.99"), 1, "0.99 can't be promised with"),
        (("--accept-per-class",), 2, "--accept-per-class needs --accept-precision"),
    ],
    ids=["unattainable", "no precision"],
)
def test_what_cannot_be_done_leaves_the_bundle_as_it_is(colours, photos, options, code, words):
    before = (colours / "bundle.json").read_bytes()
    result = _calibrate(colours, photos, *options)
    assert (result.exit_code, words in result.output) == (code, True), result.output
    assert (colours / "bundle.json").read_bytes() == before


def test_few_photos_and_the_built_in_model_are_refused(colours, imagenet, photos, tmp_path):
    (tmp_path / "few" / "red").mkdir(parents=True)
    shutil.copy(photos / "red/0.png", tmp_path / "few/red")
    result = _calibrate(colours, tmp_path / "few")
    assert "has 1 photos that can be used, and thresholds need 20 at least" in result.output
    assert "is part of Hubel and stays as it is" in _calibrate(imagenet, photos).output


def test_an_older_card_no_longer_says_that_there_is_no_threshold(make_bundle):
    manifest = make_bundle().manifest
    card = "It knows the classes above and no others, and has no threshold for `unknown`. Don't"
    text = with_thresholds(card, manifest, "photos", has_new_rule=False)
    assert text.startswith("It knows the classes above and no others. Don't")
    assert "## Accepted predictions" in text


@pytest.fixture
def trained_on(rewrite):
    """Record in a bundle which photos it was trained on: the part of each by its file."""

    def record(folder, parts):
        hashes = {hashlib.sha256(file.read_bytes()).hexdigest(): parts[file] for file in parts}
        write_photo_record(hashes, folder)
        (found,) = record_files(folder, [PHOTO_RECORD]).values()
        rewrite(folder, {f"files/{PHOTO_RECORD}": found.model_dump()})

    return record


def test_photos_that_the_model_learnt_from_choose_no_threshold(
    colours, photos, trained_on, tmp_path
):
    files = sorted(photos.glob("*/*.png"))
    parts = ["train"] * 20 + ["val"] * 5 + ["backbone"] * 5 + ["test"] * 10
    trained_on(colours, dict(zip(files, parts, strict=False)))
    output = tmp_path / "out"
    result = _calibrate(colours, photos, "--accept-precision", "0.9", "--output", output)
    assert result.exit_code == 0, result.output
    assert "30 of 90 photos are left out: the model learnt from them" in result.output
    manifest = load(output).manifest
    assert manifest.decision.photos == 60
    assert manifest.training.arguments["thresholds"]["photos"] == 60
    trained_on(colours, dict.fromkeys(files[:71], "train"))
    result = _calibrate(colours, photos, "--accept-precision", "0.9")
    assert result.exit_code == 2
    assert "The model was trained on 71 of the 90 photos of" in result.output


def test_a_photo_of_one_group_with_a_learnt_one_chooses_no_threshold(
    colours, photos, trained_on, tmp_path
):
    data = _in_scenes(photos, tmp_path / "grouped")
    trained_on(colours, {data / "blue/0.png": "train"})
    result = _calibrate(colours, data, "--output", tmp_path / "out")
    assert "6 of 90 photos are left out" in result.output


def _in_scenes(photos, data):
    """Copy the photos, in groups of six."""
    shutil.copytree(photos, data)
    files = sorted(data.glob("*/*.png"))
    rows = [
        f"{file.relative_to(data).as_posix()},{file.parent.name},scene {index // 6}"
        for index, file in enumerate(files)
    ]
    (data / "labels.csv").write_text("\n".join(["file,labels,group", *rows]))
    return data


def test_photos_of_one_group_count_once_for_a_promise(colours, photos, tmp_path):
    data = _in_scenes(photos, tmp_path / "grouped")
    result = _calibrate(colours, data, "--output", tmp_path / "out", "--accept-precision", "0.9")
    assert result.exit_code == 1
    assert re.search(r"with 1[0-5] photos, .* count as one: 29 are needed", result.stderr)
