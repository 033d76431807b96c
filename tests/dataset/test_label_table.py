"""Labels come from labels.csv, other tables, or the names of the files."""

import unicodedata

import pytest

from app.dataset.label_table import has_labels_csv, label_files, label_sets, looks_numbered
from app.errors import BadParameter


@pytest.fixture
def read(tmp_path):
    """Write files and a table into a folder; return the labels by name, and the rest."""

    def run(form, table, content, *names):
        paths = []
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
            paths.append(tmp_path / name)
        if table is not None:
            data = content if isinstance(content, bytes) else content.encode()
            (tmp_path / table).write_bytes(data)
        result = label_files(tmp_path, paths, form)
        labels = {path.relative_to(tmp_path).as_posix(): v for path, v in result.labels.items()}
        return labels, [path.name for path in result.unlabelled], result

    return run


def test_labels_csv_names_files_relative_to_it(read, tmp_path):
    text = '\ufefffile,labels\r\na.jpg,cat\r\nsub/b.jpg, dog \r\n"c, d.jpg",cat\r\ne.jpg,\r\n'
    files = ("a.jpg", "sub/b.jpg", "c, d.jpg", "e.jpg", "f.jpg")
    labels, unlabelled, rest = read("labels.csv", "labels.csv", text, *files)
    assert labels == {"a.jpg": "cat", "sub/b.jpg": "dog", "c, d.jpg": "cat"}
    assert unlabelled == ["e.jpg", "f.jpg"]
    assert (rest.missing, rest.spelled) == ([], [])
    assert has_labels_csv(tmp_path)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_cells_may_be_separated_as_spreadsheets_do_it(tmp_path, delimiter):
    rows = (("file", "labels", "group"), ("a, b.jpg", '"cat;dog"', "1"), ("c.jpg", "cat", ""))
    text = "\r\n".join(map(delimiter.join, rows))
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8-sig", newline="")
    files = [tmp_path / "a, b.jpg", tmp_path / "c.jpg"]
    sets = label_sets(tmp_path, files, "labels.csv")
    assert list(sets.labels.values()) == [{"cat", "dog"}, {"cat"}]
    assert sets.groups == {files[0]: "1"}


@pytest.mark.parametrize("text", ["", "file,label\n", "id\n", "\xff\xfe", "file,labels,notes\n"])
def test_a_faulty_labels_csv_is_the_table_too(tmp_path, text):
    assert not has_labels_csv(tmp_path)
    (tmp_path / "labels.csv").write_text(text, encoding="latin-1")
    assert has_labels_csv(tmp_path)


def test_a_labels_csv_that_is_a_broken_link_is_the_table_too(tmp_path):
    (tmp_path / "labels.csv").symlink_to("gone.csv")
    assert has_labels_csv(tmp_path)
    with pytest.raises(BadParameter, match=r"no .*labels.csv"):
        label_sets(tmp_path, [], "labels.csv")


def test_a_name_may_hold_line_ends(tmp_path):
    names = ("a\nb.jpg", "c\u2028d.jpg", "e\x85f.jpg", "g\rh.jpg")
    table = "file,labels\n" + "".join(f'"{name}",cat\n' for name in names)
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8", newline="")
    sets = label_sets(tmp_path, [tmp_path / name for name in names], "labels.csv")
    assert ([file.name for file in sets.labels], sets.missing) == ([*names], [])


def test_names_are_compared_after_normalisation_and_differences_are_told(read):
    nfd = unicodedata.normalize("NFD", "café.jpg")
    text = f"file,labels\n{nfd},cat\nIMG.JPG,dog\ngone.jpg,cat\n"
    labels, _, rest = read("labels.csv", "labels.csv", text, "café.jpg", "img.jpg")
    assert labels == {"café.jpg": "cat", "img.jpg": "dog"}
    assert rest.spelled == [nfd, "IMG.JPG"]
    assert rest.missing == ["gone.jpg"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("file,labels\na.jpg,cat;dog\n", r"several labels, the first is a.jpg \(cat; dog\)"),
        (
            "file,labels\na.jpg,cat\na.jpg,dog\n",
            r"a.jpg \(cat; dog, in different rows\)\. Only a multi-label model can have several",
        ),
        ("file\na.jpg\n", "is no header .* give it another name: folders then name the classes"),
        ("id,breed\na,cat\n", "is id,breed, not file,labels .* give it another name: folders"),
        ("file,label\na.jpg,cat\n", "is file,label, not file,labels"),
        ("file,labels,split\na.jpg,cat,train\n", "is file,labels,split, not"),
        ("file,labels\na.jpg,cat,dog\n", "header in line 2. Put cells that contain commas in"),
        ("file;labels\na.jpg;cat;dog\n", "header in line 2. Put cells that contain semicolons in"),
        (
            "file,labels,group\na.jpg,cat,1\na.jpg,,2\n",
            "gives a.jpg the groups '1' and '2'. Give both",
        ),
        ("file,labels\n../a.jpg,cat\n", "lies outside of its folder"),
        ("file,labels\n/etc/a.jpg,cat\n", "lies outside of its folder"),
        ("file,labels\n", "lists no photos"),
        ("", "is no header"),
        (b"file,labels\ncaf\xe9.jpg,cat\n", "is not UTF-8"),
    ],
)
def test_a_labels_csv_that_cannot_be_used_is_one_sentence(read, content, words):
    with pytest.raises(BadParameter, match=words):
        read("labels.csv", "labels.csv", content, "a.jpg")


def test_annotations_of_roboflow_have_a_row_for_each_box(read):
    text = (
        "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        "a.jpg,1,1,cat,0,0,1,1\na.jpg,1,1,cat,2,2,3,3\nb.jpg,1,1,dog,0,0,1,1\n"
    )
    labels, unlabelled, _ = read("roboflow", "_annotations.csv", text, "a.jpg", "b.jpg", "c.jpg")
    assert labels == {"a.jpg": "cat", "b.jpg": "dog"}
    assert unlabelled == ["c.jpg"]
    with pytest.raises(BadParameter, match="several labels"):
        read("roboflow", "_annotations.csv", text + "b.jpg,1,1,cat,0,0,1,1\n", "a.jpg", "b.jpg")
    with pytest.raises(BadParameter, match="has no column 'class'"):
        read("roboflow", "_annotations.csv", "filename,width\na.jpg,1\n", "a.jpg")


@pytest.mark.parametrize("table", ["_classes.csv", "ground truth.csv"])
def test_a_column_for_each_label_holds_0_or_1(read, table):
    text = "image, cat, dog\na, 1.0, 0.0\nb, 0, 1\nc, 0, 0\n"
    labels, unlabelled, _ = read("columns", table, text, "a.jpg", "b.png", "c.jpg")
    assert labels == {"a.jpg": "cat", "b.png": "dog"}
    assert unlabelled == ["c.jpg"]
    with pytest.raises(BadParameter, match=r"Column 'width' of .* holds '640'"):
        read("columns", table, "image,cat,width\na,1,640\n", "a.jpg")
    with pytest.raises(BadParameter, match="several labels"):
        read("columns", table, "image,cat,dog\na,1,1\n", "a.jpg")


def test_a_missing_table_is_named(read, tmp_path):
    for form, words in (("labels.csv", "no .*labels.csv"), ("columns", "has 0 tables")):
        with pytest.raises(BadParameter, match=words):
            read(form, None, "", "a.jpg")
    (tmp_path / "one.csv").write_text("a,b\n")
    (tmp_path / "two.csv").write_text("a,b\n")
    with pytest.raises(BadParameter, match="has 2 tables"):
        read("columns", None, "", "a.jpg")


def test_labels_are_the_names_before_the_number(read):
    names = ("great_pyrenees_12.jpg", "cat.0.jpg", "sub/dog (3).png", "no number.jpg", "7.jpg")
    labels, unlabelled, _ = read("filename", None, "", *names)
    assert labels == {
        "great_pyrenees_12.jpg": "great_pyrenees",
        "cat.0.jpg": "cat",
        "sub/dog (3).png": "dog",
    }
    assert unlabelled == ["no number.jpg", "7.jpg"]


@pytest.mark.parametrize(
    ("names", "numbered"),
    [("cat_1 dog_2 dog_3", True), ("IMG_1 IMG_2 IMG_3", False), ("a b c_1 d_2", False)],
)
def test_numbered_names_are_recognised(tmp_path, names, numbered):
    assert looks_numbered([tmp_path / f"{name}.jpg" for name in names.split()]) == numbered


def test_label_sets_keep_several_labels_and_none(tmp_path):
    names = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    files = [tmp_path / name for name in names]
    (tmp_path / "labels.csv").write_text("file,labels\na.jpg,cat; dog\nb.jpg,\nc.jpg,dog\n")
    sets = label_sets(tmp_path, files, "labels.csv")
    assert {file.name: set(labels) for file, labels in sets.labels.items()} == {
        "a.jpg": {"cat", "dog"},
        "b.jpg": set(),
        "c.jpg": {"dog"},
    }
    assert sets.several == [tmp_path / "a.jpg"]
    assert sets.unlisted == [tmp_path / "d.jpg"]


def test_rows_of_one_file_with_different_labels_contradict_each_other(tmp_path):
    files = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")]
    rows = "a.jpg,cat\na.jpg,dog\nb.jpg,cat\nb.jpg,cat\nc.jpg,cat;dog\nd.jpg,cat\nd.jpg,\n"
    (tmp_path / "labels.csv").write_text(f"file,labels\n{rows}")
    sets = label_sets(tmp_path, files, "labels.csv")
    assert sets.contradictory == [files[0], files[3]]
    assert sets.labels[files[0]] == {"cat", "dog"}
    boxes = "filename,class\na.jpg,cat\na.jpg,dog\n"
    (tmp_path / "_annotations.csv").write_text(boxes)
    assert label_sets(tmp_path, files, "roboflow").contradictory == []


def test_a_third_column_names_groups(tmp_path):
    files = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg")]
    (tmp_path / "labels.csv").write_text("file,labels,group\na.jpg,cat, 1 \nb.jpg,,1\nc.jpg,cat\n")
    assert has_labels_csv(tmp_path)
    sets = label_sets(tmp_path, files, "labels.csv")
    assert {file.name: name for file, name in sets.groups.items()} == {"a.jpg": "1", "b.jpg": "1"}
