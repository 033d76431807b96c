"""Two versions of a model, trained on a folder and on what it grew into, are compared."""

import csv
import hashlib
import json
import shutil

import pytest
from click.testing import CliRunner

from app import bundle as bundles
from app.bundle.photo_record import photo_record
from app.cli import main
from training import pipeline
from training.comparison import compare
from training.errors import DataUnusable
from training.recipes import registry


def add(folder, blob, hue, seeds):
    (folder / hue).mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / hue / f"{seed:03}.jpg").write_bytes(blob(hue, seed + 100 * ord(hue[0])))


@pytest.fixture(scope="module")
def train(small_backbone):
    def run(data, output, report_progress=lambda _: None, **options):
        arguments = pipeline.Arguments(
            data=data,
            output=output,
            recipe=registry.make_recipe("head", backbone=str(small_backbone)),
            name="colours",
            version=int(output.name),
            seed=int(output.name),
            **options,
        )
        return pipeline.train(arguments, report_progress).bundle

    return run


@pytest.fixture(scope="module")
def world(tmp_path_factory, blob, train):
    """Version 1 of red and green; version 2 of more photos of both, and of blue."""
    folder = tmp_path_factory.mktemp("world")
    for hue in ("red", "green"):
        add(folder / "1", blob, hue, range(28))
    first = train(folder / "1", folder / "colours/1")
    shutil.copytree(folder / "1", folder / "2")
    for hue in ("red", "green"):
        add(folder / "2", blob, hue, range(28, 36))
    add(folder / "2", blob, "blue", range(12))
    train(folder / "2", folder / "colours/2", split_of=first.folder)
    return folder


def records(world):
    return [dict(photo_record(bundles.load(world / f"colours/{v}"))) for v in (1, 2)]


def test_a_bundle_records_its_photos_by_hash_and_part(world):
    first, _ = records(world)
    hashes = {hashlib.sha256(file.read_bytes()).hexdigest() for file in world.glob("1/*/*.jpg")}
    assert set(first) == {digits[:16] for digits in hashes}
    assert [list(first.values()).count(part) for part in ("train", "val", "test")] == [40, 8, 8]
    bundle = bundles.load(world / "colours/1")
    with bundle.path("photos.csv").open() as file:
        assert next(csv.reader(file)) == ["sha256", "part"]
    bundles.verify_files(bundle)


def test_photos_stay_in_their_part_of_the_split_when_the_data_grow(world):
    first, second = records(world)
    assert {digits: second[digits] for digits in first} == first
    assert list(second.values()).count("test") > list(first.values()).count("test")


def test_versions_are_compared_on_photos_that_are_new_to_both_and_by_cross_fitting(world):
    result = compare(world / "colours/1", world / "colours/2", world / "2", report=world / "page")
    assert (result.verdict, result.serving.version, result.candidate.version) == ("not_worse", 1, 2)
    assert result.photos == 72 == result.sources.test + result.sources.cross_fitted
    _, second = records(world)
    blue = {hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in world.glob("2/blue/*")}
    tested = [digits for digits, part in second.items() if part == "test" and digits not in blue]
    assert result.sources.test == len(tested)
    assert [(row.label, row.photos) for row in result.labels] == [("green", 36), ("red", 36)]
    (new,) = result.new_labels
    assert (new.label, new.photos, new.candidate > 0.8) == ("blue", 12, True)
    assert {said.label for said in new.serving_predicts} <= {"red", "green"}
    assert sum(said.share for said in new.serving_predicts) == pytest.approx(1)
    assert 12 <= len(result.disagreements) <= 24
    last = result.disagreements[-1]
    assert (last.label, last.candidate.label) == ("blue", "blue")
    assert last.picture.startswith("data:image/webp;base64,")
    text = (world / "page/index.html").read_text()
    assert "Version 2 is not worse." in text
    assert str(world) not in text


def test_photos_with_other_labels_than_in_the_training_are_not_cross_fitted(world, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(world / "2", changed)
    for file in sorted((changed / "red").iterdir())[:14]:
        file.rename(changed / "green" / f"was-red-{file.name}")
    result = compare(world / "colours/1", world / "colours/2", changed)
    assert result.verdict == "not_comparable"
    assert "so few photos can't show" in result.reason
    assert result.sources.cross_fitted == 0 < result.sources.test


def test_a_few_photos_that_are_gone_or_relabelled_are_left_out(world, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(world / "2", changed)
    first, _ = records(world)
    learnt = [
        file
        for file in sorted((changed / "red").iterdir())
        if first.get(hashlib.sha256(file.read_bytes()).hexdigest()[:16]) == "train"
    ]
    learnt[0].rename(changed / "green/was-red.jpg")
    learnt[1].unlink()
    result = compare(world / "colours/1", world / "colours/2", changed)
    assert result.photos == 70


def test_without_a_photo_that_is_new_the_reason_is_told(world, tmp_path):
    learnt = tmp_path / "learnt"
    first, _ = records(world)
    for file in world.glob("1/*/*.jpg"):
        digits = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        if first[digits] == "train":
            (learnt / file.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, learnt / file.parent.name / file.name)
    result = compare(world / "colours/1", world / "colours/2", learnt)
    assert (result.verdict, result.photos) == ("not_comparable", 0)
    assert "of the photos that version 1 learnt from, too many are gone" in result.reason


def test_a_bundle_without_a_record_needs_photos_that_are_known_to_be_new(world, small_backbone):
    result = compare(small_backbone, world / "colours/2", world / "2")
    assert (result.verdict, result.serving.accuracy) == ("not_comparable", None)
    assert "doesn't record which photos it learnt from" in result.reason
    result = compare(small_backbone, world / "colours/2", world / "2", unseen=True)
    assert (result.photos, result.sources.cross_fitted) == (84, 0)


def test_the_command_prints_the_verdict_or_json(world):
    arguments = ["compare", *(str(world / name) for name in ("colours/1", "colours/2", "2"))]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert result.stdout.startswith("not worse: Version 2 is right about ")
    assert "      12      new   " in result.stdout
    result = CliRunner().invoke(main, [*arguments, "--json", "--margin", "0.01"])
    assert result.exit_code == 1
    assert "Version 2 isn't promoted by the rule." in result.stderr
    assert json.loads(result.stdout)["verdict"] == "not_comparable"


def test_a_split_of_a_bundle_without_a_record_is_rejected(train, world, small_backbone, tmp_path):
    with pytest.raises(DataUnusable, match="doesn't record which photos it was trained on"):
        train(world / "1", tmp_path / "3", split_of=small_backbone)


def test_a_split_is_kept_or_refused_and_the_number_of_photos_is_reported(
    train, world, blob, tmp_path
):
    lines = []
    first = world / "colours/1"
    train(world / "2", tmp_path / "3", report_progress=lines.append, split_of=first)
    assert f"56 of 84 photos are in the part of the split that they had in {first}" in lines
    shutil.copytree(world / "1", tmp_path / "learnt")
    parts = dict(photo_record(bundles.load(first)))
    for file in (tmp_path / "learnt").glob("*/*.jpg"):
        if parts[hashlib.sha256(file.read_bytes()).hexdigest()[:16]] == "test":
            file.unlink()
    with pytest.raises(DataUnusable, match="No photo is left for test: 48 of 48 photos keep"):
        train(tmp_path / "learnt", tmp_path / "4", split_of=first)
    for hue in ("red", "green"):
        add(tmp_path / "other", blob, hue, range(50, 62))
    with pytest.raises(DataUnusable, match=r"None of the 24 photos of .* has the part"):
        train(tmp_path / "other", tmp_path / "5", split_of=first)


def test_the_photos_of_a_head_are_not_those_that_its_network_learnt_from(world):
    backbone = registry.make_recipe("head", backbone=str(world / "colours/1")).backbone
    assert backbone.learnt_from == frozenset()
