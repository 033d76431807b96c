"""Label files in every form that is read: explicit indices win, and faults are errors."""

import codecs
import json
from pathlib import Path

import pytest

from training.errors import DataUnusable
from training.importing import labels

CASES = Path(__file__).parent / "cases"
TABLE = "index\tsynset\tname\n1\tn02\tdog\n0\tn01\tcat\n"
CAT_DOG = (["cat", "dog"], [None, None])
THREE = (["ant", "bee", "cat"], [None, None, None])


@pytest.fixture
def read(tmp_path):
    """Return a function that reads text or bytes as a label file."""

    def run(content, name="labels"):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return labels.read(tmp_path / name)

    return run


def _pairs(result):
    return [label.name for label in result.labels], [label.id for label in result.labels]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat\ndog\n", CAT_DOG),
        ("  cat \r\ndog\n\n\n", CAT_DOG),
        ("cat\rdog\r", CAT_DOG),
        ("\ufeff猫\n犬", (["猫", "犬"], [None, None])),
        ("tench, Tinca tinca\ngoldfish", (["tench, Tinca tinca", "goldfish"], [None, None])),
        ("3d printer\n2-door car\n", (["3d printer", "2-door car"], [None, None])),
        ("0-2\n4-6\n8-12\n", (["0-2", "4-6", "8-12"], [None] * 3)),
        ("0\n1\n2\n", (["0", "1", "2"], [None] * 3)),
        ("Class 1\nClass 2\n", (["Class 1", "Class 2"], [None, None])),
        ("n01440764 tench, Tinca\nn01443537 goldfish", None),
        ('["cat", "dog"]', CAT_DOG),
        ('{"0": ["n01", "cat"], "1": ["n02", "dog"]}', (["cat", "dog"], ["n01", "n02"])),
        ('[{"name": "cat", "id": "a"}, {"name": "dog"}]', (["cat", "dog"], ["a", None])),
        ('[{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}]', (["cat", "dog"], ["7", "9"])),
        (TABLE, (["cat", "dog"], ["n01", "n02"])),
        ("name\tid\ncat\ta\ndog\tb\n", (["cat", "dog"], ["a", "b"])),
        (TABLE.replace("dog", "Cat"), (["cat (n01)", "Cat (n02)"], ["n01", "n02"])),
        ('name,code\n"big, cat",a\ndog,b\n', (["big, cat", "dog"], ["a", "b"])),
        ("label\ncat\ndog\n", CAT_DOG),
        ("big\u2028cat\ndog\n", (["big\u2028cat", "dog"], [None, None])),
        ("names:\n- big\u2028cat\n- dog\n", (["big\u2028cat", "dog"], [None, None])),
        ("name,id\nbig\u2028cat,a\ndog,b\n", (["big\u2028cat", "dog"], ["a", "b"])),
    ],
)
def test_labels_are_read(read, text, expected):
    expected = expected or (["tench, Tinca", "goldfish"], ["n01440764", "n01443537"])
    assert _pairs(read(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2 cat\n0 ant\n1 bee\n",
        "2: cat\n0: ant\n1: bee\n",
        "2,cat\n\n0,ant\n1,bee",
        "cat,2\nant,0\nbee,1",
        "cat: 2\nant: 0\nbee: 1",
        "3. cat\n1. ant\n2. bee\n",  # from 1
        "[2] cat\n[0] ant\n[1] bee\n",
        '[{"index": 2, "name": "cat"}, {"index": 0, "name": "ant"}, {"index": 1, "name": "bee"}]',
        '[{"id": 3, "name": "cat"}, {"id": 1, "name": "ant"}, {"id": 2, "name": "bee"}]',
        '[["cat", 2], ["ant", 0], ["bee", 1]]',
        '{"2": "cat", "0": "ant", "1": "bee"}',
        '{"cat": 2, "ant": 0, "bee": 1}',
        '{"2": {"name": "cat"}, "0": {"name": "ant"}, "1": {"name": "bee"}}',
        '{"id2label": {"2": "cat", "0": "ant", "1": "bee"}}',
        '{"label2id": {"cat": 2, "ant": 0, "bee": 1}, "model_type": "vit"}',
        '{"labels": ["ant", "bee", "cat"], "packageName": "@teachablemachine/image"}',
        '{"categories": [{"id": 2, "name": "cat"}, {"id": 0, "name": "ant"}, '
        '{"id": 1, "name": "bee"}]}',
        "{2: 'cat', 0: 'ant', 1: 'bee'}",
        "{'cat': 2, 'ant': 0, 'bee': 1}",
        "class_names = ['ant', 'bee', \"cat\"]",
        "('ant', 'bee', 'cat')",
        "id\tname\n2\tcat\n0\tant\n1\tbee\n",
        "label,name\n2,cat\n0,ant\n1,bee\n",
        ",class_name\n2,cat\n0,ant\n1,bee\n",
        "Class Name;Index\ncat;2\nant;0\nbee;1\n",
        "names:\n  2: cat\n  0: ant\n  1: bee\nnc: 3\n",
        "path: x  # root\nnames: # classes\n- ant\n- 'bee'\n- \"cat\" # the last\ntrain: a\n",
        "nc: 3\nnames: ['ant', \"bee\", cat]\n",
        "names: [ant,\n  bee,\n  cat]\nval: b\n",
        "names: {2: cat, 0: ant, 1: bee}\n",
        "names:\n  cat: 2\n  ant: 0\n  bee: 1\n",
        "- ant\n- bee\n- cat\n",
    ],
)
def test_explicit_indices_win(read, text):
    assert _pairs(read(text)) == THREE


def test_how_the_file_was_read_is_said(read):
    (note,) = read("2 bird\n1 dog\n3 cow\n4 cat\n").notes
    assert note == (
        "labels: 4 labels, by the index on each line, which count from 1: 0 dog, 1 bird, 2 cow, …"
    )


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8-sig", b""),
        ("utf-16", b""),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
        ("utf-32", b""),
    ],
)
@pytest.mark.parametrize("text", ["ant\nbée\ncat\n", '["ant", "bée", "cat"]'])
def test_unicode_is_decoded_as_what_it_is(read, text, encoding, mark):
    result = read(mark + text.encode(encoding))
    assert _pairs(result) == (["ant", "bée", "cat"], [None] * 3)
    assert ("read as UTF" in result.notes[0]) == (encoding != "utf-8-sig")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no labels"),
        (b"cat\n\ndog", "label 1 is empty"),
        (b'{"0": "cat", "1": " "}', "label 1 is empty"),
        (b"index,name\n0,cat\n1,\n", "label 1 is empty"),
        (b"cat\nb\xe9e\n", "line 2 has the byte 0xe9. Save it as UTF-8; if this line should read"),
        ("犬\n猫".encode("shift-jis"), "is no UTF-8 text: line 1"),
        (b"cat\n\xff\n", "is no UTF-8 text"),
        (b"ca\0t\ndog\n", "zero bytes"),
        (codecs.BOM_UTF16_LE + b"c\0a", "is broken"),
        (codecs.BOM_UTF16_LE + b"a\0\n\0\x00\xd8", "is broken"),
        (b"[1, 2]", "1 is no label"),
        (b'["cat", null]', "null is no label"),
        (b'["cat"', "neither JSON"),
        (b"[" * 9000, "nested too deeply"),
        (b"{'cat', 'dog'}", "a Python set, which has no order"),
        (b'{"a": "cat", "b": "dog"}', "its key 'a' is no index"),
        (b'[{"index": "x", "name": "cat"}, {"index": 1, "name": "dog"}]', "'x' is no whole number"),
        (b'[{"colour": "red"}, {"colour": "blue"}]', 'an object has colour, and no "name"'),
        (b'[{"index": 0, "name": "cat"}, {"name": "dog"}]', "'dog' has no index"),
        (b'{"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 1, "b": 0}}', "label2id differ"),
        # gaps
        (b'{"0": "cat", "2": "dog"}', "the index 1 is missing and 2 is not expected"),
        (b"index\tname\n0\tcat\n2\tdog\n", "the index 1 is missing"),
        (b"0 cat\n2 dog\n", "the index 1 is missing"),
        (b"names:\n  0: cat\n  5: dog\n", "the index 1 is missing"),
        (b"{0: 'cat', -1: 'dog'}", "-1 is not expected"),
        (b"0 cat\n1 dog\nbird\n", "the line 'bird' has no index"),
        # doubles
        (b'{"0": "cat", "0": "dog"}', "the index 0 occurs twice, for 'cat' and 'dog'"),
        (b'{"cat": 0, "dog": 0}', "the index 0 occurs twice"),
        (b"{0: 'cat', 0: 'dog'}", "the index 0 occurs twice"),
        (b"0 cat\n0 dog\n", "the index 0 occurs twice"),
        (b"names: {0: cat, 0: dog}\n", "the index 0 occurs twice"),
        (b"id,name\n0,cat\n0,dog\n1,cow\n", "the index 0 occurs twice"),
        # names that occur twice
        (b"crane\ncat\ncrane", "the labels 0 and 2 have the same name, 'crane' and 'crane'"),
        (b'["cat", "CAT"]', "have the same name, 'cat' and 'CAT'"),
        ("caf\u00e9\ncafe\u0301\n".encode(), "have the same name"),
        # characters that are no text
        (b'["\\ud800", "b"]', "U+D800, which is no text (half of a surrogate pair)"),
        (b'{"0": "a", "1": "x\\udfffy"}', "U+DFFF"),
        (b"{0: 'a', 1: '\\ud83d'}", "U+D83D"),
        (b'names: ["a", "\\udc00"]\n', "U+DC00"),
        (b'["a\\nb", "c"]', "U+000A, which is no text (control)"),
        # other files
        (b"index\tname\n0\tcat\n1\n", "line 3 has 1 cells, and the header has 2"),
        (b"index,name\nx,cat\n1,dog\n", "the index 'x' is no whole number"),
        (b"file,labels\na.jpg,cat\n", "lists photos with their labels"),
        (b"name,index\n1,0\n2,1\n", "no column holds names"),
        (b"nc: 3\nnames: [cat, dog]\n", "nc is 3, and 'names' has 2 labels"),
        (b"names:\n\ntrain: x\n", "its key 'names' holds no labels"),
        (b"names: [cat, dog\n", "is not closed"),
        (b"item {\n  id: 1\n  name: 'cat'\n}\n", "a label map in protobuf text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\x80\x04\x95", "a Python pickle"),
        (b"\xff\xd8\xff\xe0", "a picture"),
    ],
)
def test_a_file_without_usable_labels_is_refused(read, content, words):
    with pytest.raises(DataUnusable) as err:
        read(content)
    assert words in str(err.value)
    str(err.value).encode()  # it can be printed
    assert "\n" not in str(err.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataUnusable, match="labels can't be read"):
        labels.read(tmp_path / "labels")


def test_the_two_cranes_of_imagenet_get_their_index(read):
    names = [f"class {index}" for index in range(1000)]
    names[134] = names[517] = "crane"
    result = read(json.dumps(names))
    assert [result.labels[index].name for index in (134, 517)] == ["crane (134)", "crane (517)"]
    assert result.notes[1] == "labels with one name: crane (134) and crane (517)"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("numbered_unordered.txt", ["ant", "bee", "cat"]),
        ("json_index_out_of_order.json", ["ant", "bee", "cat"]),
        ("tsv_unsorted.tsv", ["ant", "bee", "cat"]),
        ("hf_config.json", ["ant", "bee", "cat"]),
        ("python_dict.txt", ["ant", "bee", "cat's"]),
        ("csv_class_names.csv", ["ant", "bee", "cat"]),
        ("names.yaml", ["ant", "bee", "cat"]),
        ("teach.txt", ["Class 1", "Class 2", "Class 3"]),
    ],
)
def test_the_cases_from_the_field(name, expected):
    assert [label.name for label in labels.read(CASES / name).labels] == expected


@pytest.mark.parametrize(
    ("name", "words"), [("latin1.txt", "line 2 has the byte 0xe9"), ("lsur.json", "U+D800")]
)
def test_the_cases_from_the_field_without_usable_labels(name, words):
    with pytest.raises(DataUnusable) as err:
        labels.read(CASES / name)
    assert words in str(err.value)
