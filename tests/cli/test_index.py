"""`hubel index`: a folder of photos to an index, and what can't be one."""

import hashlib
import json
import os
import shutil
import tarfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.errors import BadParameter
from app.runtime.loaded_model import load_model
from app.runtime.registry import Registry
from app.runtime.served_indexes import ServedIndexes
from app.vector_index import open_index, read_manifest


@pytest.fixture
def models(make_bundle, embedding_graph):
    return make_bundle(graph=embedding_graph()).folder.parent


def test_an_index_of_a_folder_and_what_is_added_to_it(hubel, models, photos, tmp_path, photo):
    output = tmp_path / "index"
    (photos / "notes.txt").write_text("no photo")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    result = hubel("index", photos, "--output", output, "--models", models, "--thumbnails")
    assert result.exit_code == 1
    assert "1 photos can't be used, and aren't in the index." in result.stderr
    assert "broken.jpg" in result.stderr
    assert result.stdout.strip().endswith("3 photos, by colours version 1.")
    manifest = read_manifest(output)
    assert (manifest.count, manifest.dimension, manifest.thumbnails) == (3, 3, 160)
    (found, _), *_ = open_index(output).search(_vector(), 3, thumbnails=True)
    assert found.path == "more/b.jpg"
    assert found.thumbnail.startswith(b"\xff\xd8")

    (photos / "broken.jpg").unlink()
    again = hubel("index", photos, "--output", output, "--models", models, "--add")
    assert (again.exit_code, again.stdout.strip()) == (0, f"{output} has all of these photos: 3.")
    (photos / "more/d.jpg").write_bytes(photo((10, 240, 20)))
    added = hubel("index", photos, "--output", output, "--models", models, "--add")
    assert "4 photos, 1 of them new" in added.stdout
    assert open_index(output).search(_vector(), 4, thumbnails=True)[0][0].thumbnail is not None


def names_in(output):
    index = open_index(output)
    return [path for _, path in index.table.rows_and_paths()]


def test_photos_of_two_folders_with_the_same_names_are_both_indexed(
    hubel, models, tmp_path, photo, monkeypatch
):
    output = tmp_path / "index"
    colours = {"day1/a.jpg": (200, 20, 20), "day2/a.jpg": (20, 20, 200), "day2/b.jpg": (9, 9, 9)}
    for name, colour in colours.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(photo(colour))
    assert hubel("index", tmp_path / "day1", "--output", output, "--models", models).exit_code == 0
    run = ["--output", output, "--models", models, "--add"]
    added = hubel("index", tmp_path / "day2", *run)
    assert "3 photos, 2 of them new" in added.stdout
    there = [f"{tmp_path.resolve()}/day2/{name}.jpg" for name in "ab"]
    assert names_in(output) == ["a.jpg", *there]
    monkeypatch.chdir(tmp_path / "day1")  # the same photos by other words
    (tmp_path / "link").symlink_to(tmp_path / "day2")
    again = hubel("index", "../day1", "a.jpg", "../link", *run)
    assert "has all of these photos: 3" in again.stdout


def test_photos_of_a_folder_below_are_added_once(hubel, models, photos, tmp_path):
    output = tmp_path / "index"
    assert hubel("index", photos, "--output", output, "--models", models).exit_code == 0
    before = names_in(output)
    assert "more/b.jpg" in before
    added = hubel("index", photos / "more", "--output", output, "--models", models, "--add")
    assert "has all of these photos: 3" in added.stdout
    assert names_in(output) == before


def test_the_paths_of_several_sources_are_relative_to_the_folder_of_the_command(
    hubel, models, photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(photos)
    run = ["--output", tmp_path / "index", "--models", models]
    assert hubel("index", "more", "a.jpg", *run).exit_code == 0
    assert names_in(tmp_path / "index") == ["more/b.jpg", "more/c.png", "a.jpg"]
    assert read_manifest(tmp_path / "index").root == str(photos.resolve())


def test_the_words_at_the_end_are_those_of_what_happened(
    hubel, models, photos, tmp_path, assert_error
):
    output = tmp_path / "index"
    run = ["--output", output, "--models", models]
    for name in ("bad", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "bad/broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    failed = hubel("index", tmp_path / "bad", *run)
    assert failed.exit_code == 1
    assert failed.stderr.endswith("Error: No photo can be used, of 1. No index is written.\n")
    assert not output.exists()
    hubel("index", photos, *run)
    added = hubel("index", tmp_path / "bad", *run, "--add")
    assert (added.exit_code, added.stdout) == (1, f"{output}: 3 photos, none of them new.\n")
    assert "1 photos can't be used" in added.stderr
    assert_error(hubel("index", tmp_path / "empty", *run, "--add"), 2, "There are no photos in")
    (tmp_path / "empty/notes.txt").write_text("no photo")
    with tarfile.open(tmp_path / "none.tar", "w") as archive:
        archive.add(tmp_path / "empty/notes.txt")
    none = hubel("index", tmp_path / "none.tar", *run, "--add")
    assert none.exit_code == 2
    assert "There are no photos in" in none.stderr


def test_photos_with_the_same_path_are_named(hubel, models, photos, tmp_path):
    output = tmp_path / "index"
    shard = tmp_path / "shard.tar"
    with tarfile.open(shard, "w") as archive:
        for name in ("a.jpg", "more/b.jpg", "a.jpg"):
            archive.add(photos / name, "a.jpg")  # the third is a copy of the first
    result = hubel("index", shard, "--output", output, "--models", models)
    assert result.exit_code == 1
    assert f"{shard}/a.jpg: Another photo has the same path. Rename one of them." in result.stderr
    assert "1 photos can't be used" in result.stderr
    index = open_index(output)
    (only,) = index.table.all()
    assert only.sha256 == hashlib.sha256((photos / "a.jpg").read_bytes()).hexdigest()


def test_a_member_of_an_archive_takes_no_path_of_a_file(
    hubel, models, photos, tmp_path, monkeypatch
):
    with tarfile.open(photos / "shard.tar", "w") as archive:
        archive.add(photos / "more/c.png", "../a.jpg")
    monkeypatch.chdir(tmp_path)
    for source in ("photos", "photos/../photos/shard.tar"):
        add = ["--add"] if source != "photos" else []
        run = ["--output", tmp_path / "index", "--models", models, *add]
        assert hubel("index", source, *run).exit_code == 0
    expected = ["a.jpg", "more/b.jpg", "more/c.png", "shard.tar/../a.jpg"]
    assert sorted(names_in(tmp_path / "index")) == expected


def test_the_column_of_a_parquet_file_can_be_named(hubel, models, photos, tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    data = [(photos / name).read_bytes() for name in ("a.jpg", "more/b.jpg")]
    table = tmp_path / "two.parquet"
    parquet.write_table(pa.table({"left": data, "right": data[:1] * 2}), table)
    run = ["index", table, "--output", tmp_path / "index", "--models", models]
    assert "--image-column" in hubel(*run).stderr
    assert hubel(*run, "--image-column", "right").exit_code == 0
    manifest = read_manifest(tmp_path / "index")
    assert (manifest.count, manifest.distinct) == (2, 1)


@pytest.fixture
def stop(monkeypatch):
    """Stop the runs of `hubel index` once all photos are staged, while the context lasts."""

    @contextmanager
    def stopped():
        def stop(*_, **__):
            raise BadParameter("stopped")

        with monkeypatch.context() as patch:
            patch.setattr("app.vector_index.write_index", stop)
            yield

    return stopped


def test_a_stopped_run_goes_on_only_with_the_same_files(
    hubel, models, photos, tmp_path, photo, stop
):
    run = ["index", photos, "--output", tmp_path / "index", "--models", models]
    with stop():
        assert hubel(*run).exit_code == 2
        again = hubel(*run)
    assert "Going on after 3 photos of the last run." in again.stderr
    status, colour = (photos / "a.jpg").stat(), photo((20, 20, 21))
    (photos / "a.jpg").write_bytes(colour.ljust(status.st_size, b"\0")[: status.st_size])
    (photos / "more/c.png").unlink()
    done = hubel(*run)
    assert "begun anew" in done.stderr
    index = open_index(tmp_path / "index")
    found = {photo.path: photo.sha256 for photo in index.table.all()}
    assert set(found) == {"a.jpg", "more/b.jpg"}
    assert found["a.jpg"] == hashlib.sha256((photos / "a.jpg").read_bytes()).hexdigest()


def test_a_stopped_run_in_another_folder_does_not_go_on(
    hubel, models, photos, tmp_path, monkeypatch, stop
):
    shutil.copytree(photos, tmp_path / "w/photos")
    shutil.copytree(photos, tmp_path / "v/photos", copy_function=shutil.copy2)
    (tmp_path / "v/photos/a.jpg").rename(tmp_path / "v/photos/z.jpg")
    run = ["index", "photos", "--output", tmp_path / "index", "--models", models]
    with stop():
        monkeypatch.chdir(tmp_path / "w")
        hubel(*run)
    monkeypatch.chdir(tmp_path / "v")
    assert "Going on" not in hubel(*run).stderr
    assert names_in(tmp_path / "index") == ["more/b.jpg", "more/c.png", "z.jpg"]
    assert read_manifest(tmp_path / "index").root == str((tmp_path / "v/photos").resolve())


def test_what_a_parquet_file_names_is_read_again_by_a_run_that_goes_on(
    hubel, models, photos, tmp_path, photo, stop
):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = tmp_path / "list.parquet"
    names = ["photos/a.jpg", "photos/more/b.jpg", "photos/more/c.png", "photos/a.jpg"]
    parquet.write_table(pa.table({"path": names}), table)
    run = ["index", table, "--output", tmp_path / "index", "--models", models]
    with stop():
        hubel(*run)
    (photos / "a.jpg").write_bytes(photo((90, 90, 200)))
    (photos / "more/b.jpg").unlink()
    done = hubel(*run)
    assert "Going on after 3 photos" in done.stderr
    assert "1 photos can't be used" in done.stderr
    index = open_index(tmp_path / "index")
    found = {Path(photo.path).name: photo.sha256 for photo in index.table.all()}
    assert set(found) == {"a.jpg", "c.png"}
    assert found["a.jpg"] == hashlib.sha256((photos / "a.jpg").read_bytes()).hexdigest()


def _vector():
    import numpy as np

    return (np.array([20, 230, 20], np.float32) - 127) / 128


def test_what_can_not_become_an_index(hubel, models, photos, tmp_path, assert_error):
    run = ["--models", models, "--output"]
    shutil.copytree(photos, tmp_path / "full")
    assert_error(hubel("index", photos, *run, tmp_path / "full"), 2, "holds other files")
    assert_error(hubel("index", photos, *run, tmp_path / "no", "--add"), 2, "is no index")
    (tmp_path / "empty").mkdir()
    assert_error(
        hubel("index", tmp_path / "empty", *run, tmp_path / "new"), 2, "There are no photos"
    )
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".new*"))


@pytest.fixture
def no_model(monkeypatch):
    """Fail if a model is loaded: a command must be refused before."""
    from app.runtime import registry_and_device

    def fail(*_, **__):
        pytest.fail("a model was loaded")

    monkeypatch.setattr(registry_and_device, "create_registry", fail)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        pytest.param("photos/more/b.jpg", "is an image", id="photo"),
        pytest.param("photos/odd.jpg", "is one of the photos to read", id="input"),
        pytest.param("photos/notes.txt", "is one of the photos to read", id="skipped-file"),
        pytest.param("missing/list.txt", "missing is not a folder", id="no-folder"),
        pytest.param("index/list.txt", "which is for the results alone", id="in-the-index"),
        pytest.param("index/index.json", "which is for the results alone", id="of-the-index"),
        pytest.param(".index.hubel-index/list.txt", "which is for the results alone", id="staging"),
    ],
)
def test_the_list_of_skipped_files_replaces_nothing_that_is_needed(
    hubel, models, photos, tmp_path, assert_error, no_model, place, words
):
    (tmp_path / "index").mkdir()
    (tmp_path / ".index.hubel-index").mkdir()
    fields = ("schema_version", "hubel", "model", "metric", "names", "files", "sha256")
    (tmp_path / "index/index.json").write_text(json.dumps(dict.fromkeys(fields)))
    (photos / "odd.jpg").write_text("damaged")
    (photos / "notes.txt").write_text("no photo")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = hubel(
        "index", photos, "--output", tmp_path / "index", "--models", models,
        "--skipped", tmp_path / place,
    )  # fmt: skip
    assert_error(result, 2, words)
    assert "--skipped" in result.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_list_of_skipped_files_that_can_not_be_written_is_refused_first(
    hubel, models, photos, tmp_path, assert_error, no_model, monkeypatch
):
    (tmp_path / "shut").mkdir()
    can_access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: can_access(path, mode) and Path(path).name != "shut"
    )
    run = ["index", photos, "--output", tmp_path / "index", "--models", models]
    assert_error(hubel(*run, "--skipped", tmp_path / "shut/list"), 2, "Nothing can be written to")


def test_skipped_files_are_listed(hubel, models, photos, tmp_path):
    (photos / "notes.txt").write_text("no photo")
    run = ["index", photos, "--output", tmp_path / "index", "--models", models]
    assert hubel(*run, "--skipped", tmp_path / "list.txt").exit_code == 0
    assert (tmp_path / "list.txt").read_text().endswith("notes.txt\n")


def test_only_the_model_that_made_an_index_adds_to_it(
    hubel, models, make_bundle, embedding_graph, photos, tmp_path, assert_error
):
    output = tmp_path / "index"
    run = ["index", photos, "--output", output, "--models", models]
    assert hubel(*run).exit_code == 0
    make_bundle(name="other", graph=embedding_graph())
    assert_error(hubel(*run, "--add", "--model", "other"), 2, "was made with model 'colours'")
    make_bundle(graph=embedding_graph(sharpness=9.0))
    assert_error(hubel(*run, "--add"), 2, "another bundle")


def test_a_service_is_not_started_for_a_folder_without_an_index(tmp_path):
    (tmp_path / "no-index").mkdir()
    with pytest.raises(BadParameter, match="holds no index"):
        ServedIndexes(tmp_path, Registry([], load_model))
