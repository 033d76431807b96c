"""The comparison of two versions of a model."""

import csv
import hashlib

import pytest

from app import bundle as bundles
from app.bundle.photo_record import photo_record
from training import pipeline
from training.comparison import compare
from training.recipes import registry


@pytest.fixture(scope="module")
def train(small_backbone):
    def run(data, output, **options):
        recipe = registry.make_recipe("head", backbone=str(small_backbone))
        arguments = pipeline.Arguments(
            data=data,
            output=output,
            recipe=recipe,
            name="colours",
            version=int(output.name),
            seed=options.pop("seed", 0),
            **options,
        )
        return pipeline.train(arguments, lambda _: None).bundle

    return run


def test_a_trained_bundle_records_its_photos_by_hash_and_part(train, data, tmp_path):
    bundle = train(data, tmp_path / "1")
    record = photo_record(bundle)
    hashes = {hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in data.rglob("*.jpg")}
    assert set(record) == hashes
    counts = [list(record.values()).count(part) for part in ("train", "val", "test")]
    assert counts == [16, 4, 4]
    with bundle.path("photos.csv").open() as file:
        assert next(csv.reader(file)) == ["sha256", "part"]
    bundles.verify_files(bundle)


def test_a_bundle_without_a_record_is_not_comparable(train, data, tmp_path, small_backbone):
    new = train(data, tmp_path / "1").folder
    result = compare(small_backbone, new, data)
    assert result.verdict == "not_comparable"
    assert "doesn't record which photos it learnt from" in result.reason
    assert (result.photos, result.serving.accuracy, result.candidate.version) == (0, None, 1)
