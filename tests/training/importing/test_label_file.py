"""Label files in every form that is read."""

import pytest

from training.errors import DataUnusable
from training.importing import label_file

TABLE = "index\tsynset\tname\n1\tn02\tdog\n0\tn01\tcat\n"


@pytest.mark.parametrize(
    ("text", "names", "ids"),
    [
        ("cat\ndog\n", ["cat", "dog"], [None, None]),
        ("  cat \r\ndog\n\n\n", ["cat", "dog"], [None, None]),
        ("\ufeff猫\n犬", ["猫", "犬"], [None, None]),
        ('["cat", "dog"]', ["cat", "dog"], [None, None]),
        ('{"1": "dog", "0": "cat"}', ["cat", "dog"], [None, None]),
        ('{"dog": 1, "cat": 0}', ["cat", "dog"], [None, None]),
        ('{"0": ["n01", "cat"], "1": ["n02", "dog"]}', ["cat", "dog"], ["n01", "n02"]),
        ('[{"name": "cat", "id": "a"}, {"name": "dog"}]', ["cat", "dog"], ["a", None]),
        ('[{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}]', ["cat", "dog"], ["7", "9"]),
        (TABLE, ["cat", "dog"], ["n01", "n02"]),
        ("name\tid\ncat\ta\ndog\tb\n", ["cat", "dog"], ["a", "b"]),
        (TABLE.replace("dog", "Cat"), ["cat (n01)", "Cat (n02)"], ["n01", "n02"]),
        ("crane\ncat\ncrane", ["crane (0)", "cat", "crane (2)"], [None, None, None]),
    ],
)
def test_labels_are_read_in_order(tmp_path, text, names, ids):
    (tmp_path / "labels").write_text(text, encoding="utf-8")
    labels = label_file.read(tmp_path / "labels")
    assert [label.name for label in labels] == names
    assert [label.id for label in labels] == ids


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"cat", "has 1 labels. A classifier needs two"),
        (b"", "has 0 labels"),
        (b"cat\n\ndog", "label 1 is empty"),
        (b"cat\n\xff\n", "is no UTF-8 text"),
        (b"[1, 2]", "1 is no label"),
        (b'["cat"', "is not a label file"),
        (b'{"0": "cat", "2": "dog"}', "indices are not 0 to 1"),
        (b'{"a": "cat", "b": "dog"}', "is not a label file"),
        (b"index\tname\n0\tcat\n2\tdog\n", "indices are not 0 to 1"),
        (b"index\tname\n0\tcat\n1\n", "is not a label file"),
        (b"crane\ncrane\ncrane (0)", "The label 'crane (0)' occurs twice"),
    ],
)
def test_a_file_without_labels_is_refused(tmp_path, content, words):
    (tmp_path / "labels").write_bytes(content)
    with pytest.raises(DataUnusable, match=r".*") as err:
        label_file.read(tmp_path / "labels")
    assert words in str(err.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataUnusable, match="labels can't be read"):
        label_file.read(tmp_path / "labels")
