"""benchmarks/several_labels.py makes composites whose labels.csv says what they show."""

import csv
from collections import Counter

import numpy as np
from PIL import Image

from benchmarks.several_labels import make_data


def test_composites_show_none_one_or_two_labels(tmp_path, blob):
    for place, name in enumerate(("pets/cat", "pets/dog", "others/n01440764", "others/n02085620")):
        (tmp_path / name).mkdir(parents=True)
        for index in range(4):
            data = blob(("red", "green")[place % 2], 10 * place + index)
            (tmp_path / name / f"{index}.jpg").write_bytes(data)
    make_data(tmp_path / "pets", tmp_path / "others", tmp_path / "data", train=8, test=4, pools=2)
    for part, count in (("train", 8), ("test", 4)):
        with (tmp_path / "data" / part / "labels.csv").open() as file:
            rows = list(csv.DictReader(file))
        kinds = Counter(row["labels"] for row in rows)
        groups = Counter(row["group"] for row in rows)
        assert groups == ({"pool 0": 4, "pool 1": 4} if part == "train" else {"": 4})
        assert kinds == dict.fromkeys(("", "cat", "dog", "cat;dog"), count // 4)
        for row in rows:
            pixels = np.asarray(Image.open(tmp_path / "data" / part / row["file"]))
            assert pixels.shape == (480, 480, 3)
            assert (np.abs(pixels.astype(int) - 127) < 8).all(axis=2).mean() > 0.4  # mid-grey
