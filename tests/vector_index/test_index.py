"""Writing, checking and searching an index; a run that was stopped."""

import json
import os

import numpy as np
import pytest

from app.errors import BadParameter, IndexInvalid
from app.vector_index import (
    IndexedModel,
    Staging,
    open_index,
    read_manifest,
    require_output,
    write_index,
)

MODEL = IndexedModel(name="colours", version=1, sha256="0" * 64, precision="fp32")
DIMENSION = 8


def vectors(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)


def write(output, rows, names=None, *, add=False, thumbnail=None):
    with Staging(output, DIMENSION, {}) as staging:
        for number, row in enumerate(rows):
            name = f"{number}.jpg" if names is None else names[number]
            staging.append(name, f"{number:064x}", 100 + number, row, thumbnail)
        return write_index(output, staging, MODEL, ("photos",), 0, add=add)


@pytest.mark.parametrize("exact_up_to", [0, 5000])
def test_the_nearest_photos_are_those_of_an_exact_search(tmp_path, exact_up_to, monkeypatch):
    monkeypatch.setattr("app.vector_index.neighbours._EXACT_UP_TO", exact_up_to)
    rows = vectors(400)
    write(tmp_path / "index", rows)
    index = open_index(tmp_path / "index")
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = 0
    for query in vectors(20, seed=1):
        exact = np.argsort(-(unit @ query))[:10]
        results = index.search(query * 7, 10)
        found += len({photo.path for photo, _ in results} & {f"{i}.jpg" for i in exact})
        similarities = [similarity for _, similarity in results]
        assert similarities == sorted(similarities, reverse=True)
        assert similarities[0] == pytest.approx(
            (unit @ query)[exact[0]] / np.linalg.norm(query), abs=2e-3
        )
    assert found >= 195


def test_a_photo_is_most_similar_to_itself_and_fewer_are_returned_than_asked_for(tmp_path):
    write(tmp_path / "index", vectors(3), thumbnail=b"jpeg")
    index = open_index(tmp_path / "index")
    results = index.search(vectors(3)[1], 10, thumbnails=True)
    assert len(results) == 3
    photo, similarity = results[0]
    assert (photo.path, photo.sha256, photo.size, photo.thumbnail) == (
        "1.jpg",
        f"{1:064x}",
        101,
        b"jpeg",
    )
    assert similarity == pytest.approx(1, abs=1e-3)
    assert index.search(vectors(3)[1], 1)[0][0].thumbnail is None


@pytest.mark.parametrize("content", [b"", b"\xff"], ids=["cut off", "changed"])
def test_files_that_are_overwritten_in_place_do_not_end_the_process(tmp_path, content):
    rows = vectors(2000)
    write(tmp_path / "index", rows)
    index = open_index(tmp_path / "index")
    before = [index.neighbours.search(row, 10) for row in rows[:20]]
    for file in [*(tmp_path / "index").glob("vectors*"), *(tmp_path / "index").glob("photos*")]:
        size = file.stat().st_size
        with file.open("r+b") as opened:  # the same inode: what is mapped would change too
            opened.truncate(0)
            opened.write(content * size)
    for row, (found, similarities) in zip(rows, before, strict=False):
        again = index.neighbours.search(row, 10)
        assert again[0].tolist() == found.tolist()
        assert again[1].tolist() == similarities.tolist()
    with pytest.raises(IndexInvalid, match="lacks a photo"):  # the photos stay in their file
        index.table.photos(range(2000), thumbnails=False)


def paths(results):
    return [photo.path for photo, _ in results]


@pytest.fixture
def links(monkeypatch):
    """Search small graphs by their links, too."""
    monkeypatch.setattr("app.vector_index.neighbours._EXACT_UP_TO", 0)


@pytest.mark.parametrize("place", ["first", "last", "added"])
def test_copies_of_a_photo_hide_no_other(tmp_path, place, links):
    others, copies = vectors(3000), np.repeat(vectors(1, seed=1), 1000, axis=0)
    names = [f"other-{n}.jpg" for n in range(3000)], [f"copy-{n}.jpg" for n in range(1000)]
    output = tmp_path / "index"
    if place == "added":
        write(output, others[::-1], names[0][::-1])
        manifest = write(output, copies, names[1], add=True)
    else:
        both = slice(None, None, -1 if place == "first" else 1)
        first, second = names[both]
        manifest = write(output, np.concatenate([others, copies][both]), first + second)
    assert (manifest.count, manifest.distinct, manifest.exact) == (4000, 3001, False)
    index = open_index(output)
    missed = [n for n in range(3000) if paths(index.search(others[n], 1)) != [names[0][n]]]
    assert len(missed) <= 3
    found = index.search(copies[0], 1005)
    assert paths(found)[:1000] == names[1]  # in the order in which they were added
    assert all(path.startswith("other") for path in paths(found)[1000:])
    assert paths(index.search(copies[0], 10)) == names[1][:10]


@pytest.mark.parametrize("difference", [1e-3, 1e-2, 0.1])
@pytest.mark.parametrize("others_first", [True, False], ids=["last", "first"])
def test_photos_that_are_nearly_equal_hide_no_other(tmp_path, difference, others_first, links):
    rng = np.random.default_rng(2)
    others = vectors(3000)
    near = vectors(1, seed=1) + rng.normal(scale=difference, size=(1000, DIMENSION))
    rows = np.concatenate([others, near] if others_first else [near, others]).astype(np.float32)
    manifest = write(tmp_path / "index", rows)
    index = open_index(tmp_path / "index")
    first = 0 if others_first else 1000
    missed = [n for n in range(3000) if paths(index.search(others[n], 1)) != [f"{first + n}.jpg"]]
    assert len(missed) <= 3
    assert manifest.exact is False


def test_a_graph_that_hides_photos_is_searched_without_its_links(tmp_path, monkeypatch, links):
    from app.vector_index import distinct_vectors

    numbers = iter(range(10_000))
    monkeypatch.setattr(
        distinct_vectors, "_keys", lambda rows: [str(next(numbers)).encode() for _ in rows]
    )
    others, copies = vectors(1500), np.repeat(vectors(1, seed=1), 1000, axis=0)
    manifest = write(tmp_path / "index", np.concatenate([copies, others]))
    assert (manifest.distinct, manifest.exact) == (2500, True)
    index = open_index(tmp_path / "index")
    for n in range(0, 1500, 50):
        assert paths(index.search(others[n], 1)) == [f"{1000 + n}.jpg"]


def test_equal_photos_share_a_vector_when_one_of_them_is_replaced(tmp_path):
    output = tmp_path / "index"
    rows = vectors(3)
    write(output, rows[[0, 1, 0, 2, 0]])
    manifest = write(output, rows[[1, 0]], ["0.jpg", "new.jpg"], add=True)
    assert (manifest.count, manifest.distinct) == (6, 3)
    index = open_index(output)
    assert paths(index.search(rows[0], 3)) == ["2.jpg", "4.jpg", "new.jpg"]
    assert paths(index.search(rows[1], 2)) == ["1.jpg", "0.jpg"]
    photo, similarity = index.search(rows[2], 6)[0]
    assert (photo.path, photo.sha256, photo.size) == ("3.jpg", f"{3:064x}", 103)
    assert similarity == pytest.approx(1, abs=1e-3)


def test_an_index_of_another_version_is_refused(tmp_path):
    write(tmp_path / "index", vectors(3))
    damage(tmp_path / "index", "index.json", lambda d: d.replace(b'version": 2', b'version": 1'))
    with pytest.raises(IndexInvalid, match="by another version of Hubel"):
        read_manifest(tmp_path / "index")


def test_photos_are_added_and_replaced_in_one_step(tmp_path):
    output = tmp_path / "index"
    first = write(output, vectors(5))
    before = open_index(output)
    write(output, vectors(2, seed=1), ["new.jpg", "other.jpg"], add=True)
    assert len(open_index(output).neighbours) == 7
    manifest = write(output, vectors(1, seed=2), ["0.jpg"], add=True)
    assert manifest.count == 7
    index = open_index(output)
    assert index.search(vectors(1, seed=2)[0], 1)[0][0].path == "0.jpg"
    assert index.search(vectors(5)[3], 1)[0][0].path == "3.jpg"
    assert index.search(vectors(2, seed=1)[1], 1)[0][0].path == "other.jpg"
    assert sorted(p.name for p in output.iterdir()) == sorted([*manifest.files, "index.json"])
    assert first.names.vectors not in manifest.files
    assert before.search(vectors(5)[0], 1)[0][0].path == "0.jpg"  # it reads on


def test_a_stopped_run_goes_on_and_another_one_begins_anew(tmp_path):
    output = tmp_path / "index"
    rows = vectors(300)
    with Staging(output, DIMENSION, {"model": 1}) as staging:
        for number, row in enumerate(rows):
            staging.append(f"{number}.jpg", "", 1, row, None)
    with (staging.folder / "vectors.f16").open("ab") as file:
        file.write(b"cut off")
    with Staging(output, DIMENSION, {"model": 1}) as staging:
        assert len(staging) == 256
        assert set(staging.sizes()) == {f"{n}.jpg" for n in range(256)}
        staging.append("last.jpg", "", 1, rows[299], None)
        write_index(output, staging, MODEL, (), 0, add=False)
        assert not staging.folder.exists()
    assert open_index(output).search(rows[299], 1)[0][0].path == "last.jpg"
    with Staging(output, DIMENSION, {"model": 1}) as staging:
        staging.append("a.jpg", "", 1, rows[0], None)
        staging.flush()
    with Staging(output, DIMENSION, {"model": 2}) as staging:
        assert len(staging) == 0
        with pytest.raises(BadParameter, match="Another `hubel index`"):
            Staging(output, DIMENSION, {"model": 2}).__enter__()


def test_a_staged_photo_can_be_replaced_or_dropped(tmp_path):
    output = tmp_path / "index"
    rows = vectors(4)
    with Staging(output, DIMENSION, {}) as staging:
        for number in range(3):
            staging.append(f"{number}.jpg", f"{number:064x}", 1, rows[number], None)
        staging.flush()
    with Staging(output, DIMENSION, {}) as staging:
        assert not staging.began_anew
        assert staging.has("0.jpg", f"{0:064x}")
        assert not staging.has("0.jpg", f"{1:064x}")
        staging.drop("0.jpg")
        staging.append("0.jpg", f"{7:064x}", 2, rows[3], None)
        staging.drop("1.jpg")
    with Staging(output, DIMENSION, {}) as staging:
        assert staging.sizes() == {"0.jpg": 2, "2.jpg": 1}
        staging.drop("0.jpg")
        staging.append("1.jpg", f"{8:064x}", 3, rows[3], None)
        write_index(output, staging, MODEL, (), 0, add=False)
    index = open_index(output)
    assert paths(index.search(rows[2], 2)) == ["2.jpg", "1.jpg"]
    assert index.search(rows[3], 1)[0][0].sha256 == f"{8:064x}"


def damage(folder, name, data):
    file = next(folder.glob(name))
    file.write_bytes(data(file.read_bytes()))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        pytest.param("vectors*", lambda d: d[:-1], "isn't the file", id="cut-off"),
        pytest.param("photos*", lambda d: d[:-1] + b"x", "isn't the file", id="changed"),
        pytest.param("index.json", lambda d: d.replace(b"cosine", b"other"), "metric", id="schema"),
        pytest.param(
            "index.json", lambda d: d.replace(b'"count": 5', b'"count": 6'), "changed", id="seal"
        ),
        pytest.param("index.json", lambda d: d[:20], "not JSON", id="no-json"),
        pytest.param("index.json", lambda d: b"[1]", "no index", id="no-object"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path, name, data, words):
    write(tmp_path / "index", vectors(5))
    damage(tmp_path / "index", name, data)
    with pytest.raises(IndexInvalid, match=words):
        open_index(tmp_path / "index")


@pytest.mark.parametrize("data", [b"", b"text" * 99, None], ids=["empty", "text", "cut off"])
def test_a_file_that_fits_the_manifest_and_is_no_graph_is_refused(tmp_path, data):
    import hashlib

    from app.vector_index.folder import seal_of

    folder = tmp_path / "index"
    write(folder, vectors(50))
    document = json.loads((folder / "index.json").read_text())
    del document["sha256"]
    name = document["names"]["vectors"]
    content = (folder / name).read_bytes()[:-900] if data is None else data
    (folder / name).write_bytes(content)
    document["files"][name] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
    document["sha256"] = seal_of(document)
    (folder / "index.json").write_text(json.dumps(document))
    with pytest.raises(IndexInvalid, match="can't be read by FAISS"):
        open_index(folder)


def test_an_index_is_never_written_over_other_files(tmp_path):
    (tmp_path / "own.txt").write_text("mine")
    with pytest.raises(BadParameter, match="holds other files"):
        require_output(tmp_path, add=False)
    with pytest.raises(BadParameter, match="is a file"):
        require_output(tmp_path / "own.txt", add=False)
    with pytest.raises(BadParameter, match="is no index"):
        require_output(tmp_path / "new", add=True)
    with pytest.raises(BadParameter, match="is not a folder"):
        require_output(tmp_path / "a/b", add=False)
    require_output(tmp_path / "new", add=False)


@pytest.mark.parametrize(
    "content",
    [
        b'{"version": 3, "files": {"a": "b"}, "names": []}',
        b"[]",
        b'{"schema_version": 2, "hubel"',
        b"\xff\xfe",
        b"[" * 99_999,
    ],
    ids=["of another program", "a list", "cut off", "no text", "deep"],
)
@pytest.mark.parametrize("add", [True, False])
def test_an_index_is_never_written_to_a_folder_of_another_program(tmp_path, content, add):
    (tmp_path / "index.json").write_bytes(content)
    with pytest.raises(BadParameter, match="a file of another program"):
        require_output(tmp_path, add=add)


def test_an_index_of_another_version_can_be_replaced(tmp_path):
    write(tmp_path / "index", vectors(3))
    damage(tmp_path / "index", "index.json", lambda d: d.replace(b'version": 2', b'version": 1'))
    require_output(tmp_path / "index", add=False)
    assert write(tmp_path / "index", vectors(4)).count == 4


def test_the_files_of_a_user_stay_in_the_folder(tmp_path):
    write(tmp_path / "index", vectors(3))
    (tmp_path / "index/README.txt").write_text("mine")
    write(tmp_path / "index", vectors(4))
    assert (tmp_path / "index/README.txt").read_text() == "mine"
    assert read_manifest(tmp_path / "index").count == 4
    assert len(os.listdir(tmp_path / "index")) == 4
