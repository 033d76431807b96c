"""benchmarks/label_folds.py keeps the photos of test, and of each pool, to themselves."""

from pathlib import Path

from benchmarks.label_folds import draw_all
from training.data.split import FOLDS


def test_no_photo_is_in_test_and_train_or_in_two_pools():
    photos = {kind: [Path(f"{kind}{n}") for n in range(60)] for kind in ("cat", "dog", "other")}
    sets = draw_all(photos, train=200, test=100)
    used = {name: [set(chosen) for chosen, _ in drawn] for name, (drawn, _) in sets.items()}
    test = set.union(*used["test"])
    pools = [set.union(*used["pools"][fold * 40 : fold * 40 + 40]) for fold in range(FOLDS)]
    assert [len(used[name]) for name in ("test", "reused", "pools")] == [100, 200, 200]
    assert test.isdisjoint(set.union(*used["reused"], *pools))
    assert sum(map(len, pools)) == len(set.union(*pools))
    assert sets["pools"][1][:4] == [[False, False], [True, False], [False, True], [True, True]]
