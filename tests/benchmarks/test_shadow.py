"""benchmarks/shadow.py makes two versions of one model, of which the second names worse labels."""

from app import bundle as bundles
from benchmarks import shadow
from benchmarks.shadow import Measured, Point


def test_every_fifth_pair_of_labels_is_exchanged():
    changed = shadow.exchanged(list(range(22)))
    assert [index for index, label in enumerate(changed) if index != label] == [
        0,
        1,
        10,
        11,
        20,
        21,
    ]
    assert sorted(changed) == list(range(22))


def test_both_versions_are_whole_bundles(tmp_path, make_bundle):
    labels = tuple(f"label{index}" for index in range(3))
    shadow.write_models(tmp_path, make_bundle(labels=labels).folder)
    for version, first in ((1, "label0"), (2, "label1")):
        bundle = bundles.load(tmp_path / "lite0" / str(version))
        bundles.verify_files(bundle)
        assert bundle.manifest.version == version
        assert bundle.manifest.labels[0].name == first


def test_a_row_has_the_medians_of_the_rounds():
    rounds = [Measured(float(n), n, n, n, n, n / 10, 0) for n in (3, 1, 2)]
    assert shadow.row(Point(2), 0.1, rounds) == (
        "| 2 clients | 0.1 | 2.0 | 2.0 | 2.0 | 2.0 | 2 | 0.200 | 0 |"
    )
