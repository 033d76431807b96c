"""Sources are listed once, in order: folders, patterns, lists in braces; each file once."""

import io
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.errors import BadParameter
from app.sources import plan as plans
from app.sources.plan import Planner

JPEG = b"\xff\xd8\xff\xe0" + bytes(700)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/1.jpg", "a/b/2.jpg", "a/notes.txt", "a/.hidden.jpg", "c/3.png", "c/no suffix"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"text" if name.endswith("txt") else JPEG)
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["a"], ["a/1.jpg", "a/b/2.jpg", "a/notes.txt"]),
        (["a/1.jpg"], ["a/1.jpg"]),
        (["a/notes.txt"], ["a/notes.txt"]),
        (["*"], ["a/1.jpg", "a/b/2.jpg", "a/notes.txt", "c/3.png", "c/no suffix"]),
        (["*/*.jpg"], ["a/1.jpg"]),
        (["**/*.jpg"], ["a/1.jpg", "a/b/2.jpg"]),
        (["?/[1-3].*"], ["a/1.jpg", "c/3.png"]),
        (["a/**"], ["a/1.jpg", "a/notes.txt", "a/b/2.jpg"]),
        (["{a,c}/{1..1}.jpg", "c/{3,3}.png"], None),
        (["c/{3,no suffix}.png"], None),
        (["a/b", "a"], ["a/b/2.jpg", "a/1.jpg", "a/b", "a/notes.txt"]),
        (["a/1.jpg", "a"], ["a/1.jpg", "a/1.jpg", "a/b/2.jpg", "a/notes.txt"]),
        (["a", "a/1.jpg"], ["a/1.jpg", "a/b/2.jpg", "a/notes.txt", "a/1.jpg"]),
        (["a", "a/.hidden.jpg"], ["a/1.jpg", "a/b/2.jpg", "a/.hidden.jpg", "a/notes.txt"]),
        (["."], ["a/1.jpg", "a/b/2.jpg", "a/notes.txt", "c/3.png", "c/no suffix"]),
    ],
)
def test_sources_are_listed_in_order_and_each_file_once(tree, read, sources, expected):
    if expected is None:
        with pytest.raises(BadParameter, match="There is no"):
            read(*sources)
        return
    found = read(*sources)
    assert sorted(path for path, _ in found) == sorted(expected)
    photos = [path for path, content in found if isinstance(content, bytes)]
    assert len(set(photos)) == len(photos)
    assert photos == [path for path in dict.fromkeys(expected) if path in photos]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("none", "There is no none. Correct the path."),
        ("*.gif", "No file matches *.gif. Correct the pattern."),
        ("{3..1}.jpg", "must go up"),
        ("{0..99999999}.jpg", "at most 1,000,000"),
        ("s3://", "names no bucket"),
        ("https:///a.jpg", "names no server"),
    ],
)
def test_a_source_that_means_nothing_is_refused(tree, read, source, words):
    with pytest.raises(BadParameter) as raised:
        read(source)
    assert words in str(raised.value)


def test_what_cannot_be_read_is_an_error_in_its_place(tree, read):
    (tree / "a" / "0.jpg").symlink_to("nowhere")
    (tree / "a" / "loop").symlink_to(tree)
    os.mkfifo(tree / "a" / "pipe.jpg")
    found = dict(read("a"))
    assert found["a/0.jpg"] == "bad_parameter"
    assert found["a/pipe.jpg"] == "it is no regular file"
    assert found["a/loop/c/3.png"] == JPEG
    assert found["a/loop/a"] == "it is a folder that is read already"
    assert dict(read("a/1.jpg", max_bytes=100)) == {"a/1.jpg": "too_many_bytes"}


def test_a_pipe_is_read_only_where_a_source_names_it(tree, read):
    os.mkfifo(tree / "a" / "0.jpg")
    expected = [("a/0.jpg", "it is no regular file"), ("a/1.jpg", JPEG)]
    assert read("a/*.jpg") == expected
    assert read("*/[01].jpg") == expected
    assert read("{a,c}/?.jpg") == expected
    with ThreadPoolExecutor(1) as pool:
        for sources in (["a/0.jpg"], ["a", "a/0.jpg"]):
            written = pool.submit((tree / "a" / "0.jpg").write_bytes, JPEG)
            assert read(*sources)[-1] == ("a/0.jpg", JPEG)
            written.result()


def test_what_a_folder_skips_is_read_where_a_source_names_it(tree, read):
    assert ("a/notes.txt", b"text") in read("a", "a/notes.txt")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**/**/*.jpg", ["a/1.jpg", "a/b/2.jpg", "a/b/b/b/4.jpg"]),
        ("**/b/**/*.jpg", ["a/b/2.jpg", "a/b/b/b/4.jpg"]),
        ("**/b/**/**", ["a/b/2.jpg", "a/b/b/b/4.jpg"]),
        ("**/b/**/b/**/b/*", ["a/b/b/b/4.jpg"]),
        ("a/b/**", ["a/b/2.jpg", "a/b/b/b/4.jpg"]),
        ("?/../a/1.jpg", ["a/../a/1.jpg"]),
    ],
)
def test_a_file_that_a_pattern_reaches_by_several_folders_is_read_once(
    tree, read, pattern, expected
):
    (tree / "a" / "b" / "b" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "b" / "b" / "4.jpg").write_bytes(JPEG)
    assert [path for path, content in read(pattern) if content == JPEG] == expected


def plan_of(*sources):
    out = io.StringIO()
    return Planner(out).plan(sources), out.getvalue()


def test_a_plan_changes_with_its_files_alone(tree):
    before, lines = plan_of("a", "c")
    assert (before.photos, before.skipped, before.shards) == (4, 1, 1)
    assert plan_of("a", "c") == (before, lines)
    (tree / "a" / "1.jpg").write_bytes(JPEG + b"more")
    assert plan_of("a", "c")[0].fingerprint != before.fingerprint


def test_shards_have_so_many_files_and_archives_are_their_own(tree, make_tar, read, monkeypatch):
    monkeypatch.setattr(plans, "FILES_PER_SHARD", 2)
    make_tar(tree / "b.tar", ("x.jpg", JPEG))
    planned, lines = plan_of(".")
    assert (planned.photos, planned.archives) == (4, 1)
    assert len(lines.splitlines()) == planned.shards == 3
    assert [path for path, content in read(".") if content == JPEG] == [
        "a/1.jpg", "a/b/2.jpg", "b.tar/x.jpg", "c/3.png", "c/no suffix",
    ]  # fmt: skip


def test_names_that_are_not_utf8_stay_readable(tree, read):
    name = os.fsdecode(os.fsencode(str(tree / "c" / "caf")) + b"\xe9.jpg")
    with open(name, "wb") as file:
        file.write(JPEG)
    assert dict(read("c"))[os.path.join("c", os.path.basename(name))] == JPEG
