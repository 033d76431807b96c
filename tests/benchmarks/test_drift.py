"""benchmarks/drift.py measures drift of traffic that it mixes from two kinds of photos."""

from types import SimpleNamespace

import numpy as np

from app.bundle import Baseline
from benchmarks import drift

BASELINE = Baseline(
    images=300,
    confidence=(0,) * 10 + (30,) + (0,) * 8 + (270,),
    decisions={"accepted": 270, "unsure": 30, "unknown": 0},
    labels=(150, 150),
)


def result(row, decision):
    probabilities = np.array(row, np.float32)
    return SimpleNamespace(probabilities=probabilities, decision=decision, embedding=None)


def test_the_index_rises_with_the_share_of_other_photos():
    labels = [SimpleNamespace(name=name) for name in ("cat", "dog")]
    manifest = SimpleNamespace(baseline=BASELINE, labels=labels, task="single_label")
    model = SimpleNamespace(name="pets", version=1, manifest=manifest, embedding_baseline=None)
    usual = [result((0.97, 0.03), "accepted"), result((0.03, 0.97), "accepted")] * 9
    usual += [result((0.53, 0.47), "unsure"), result((0.47, 0.53), "unsure")]
    other = [result((0.55, 0.45), "unknown")]
    highest, statuses = drift.traffic_drift(model, usual, other, 0.0, 2500)
    assert statuses["significant"] == 0
    assert set(highest) == {"decision", "label", "confidence"}
    _, statuses = drift.traffic_drift(model, usual, other, 1.0, 1000)
    assert statuses["significant"] > 0


def test_halves_of_the_photos_are_for_training(tmp_path):
    folder = tmp_path / "data" / "cat"
    folder.mkdir(parents=True)
    for name in "abcd":
        (folder / name).write_bytes(b"")
    others = drift.halves(tmp_path / "data", tmp_path / "learnt")
    assert [path.name for path in others] == ["b", "d"]
    assert sorted(path.name for path in (tmp_path / "learnt" / "cat").iterdir()) == ["a", "c"]
