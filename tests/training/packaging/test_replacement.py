"""A new bundle takes its place in one step, and nothing of the user's is ever lost."""

import os
from pathlib import Path

import pytest

from app import bundle as bundles
from app.bundle import MODEL_CARD, Bundle, Manifest
from app.errors import BundleMismatch
from training.packaging import replacement


def _copy(bundle: Bundle, to: Path) -> Path:
    for name in bundle.manifest.files:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_bytes(bundle.path(name).read_bytes())
    return to


def _next(bundle: Bundle) -> Manifest:
    return bundle.manifest.model_copy(update={"version": bundle.manifest.version + 1})


def _state(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


FOREIGN = {
    "notes.txt": b"to do",
    "photos/cat/1.jpg": b"a cat",
    "photos/.hidden": b"h",
    "2/bundle.json": b"another version",
    "golden/mine.jpg": b"in a folder of the bundle",
    ".git/config": b"[core]",
}


@pytest.fixture
def crowded(make_bundle, tmp_path):
    """A bundle in `models/colours` among files of the user's, and a folder to replace it with."""
    first = make_bundle()
    for name, content in FOREIGN.items():
        (first.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (first.folder / name).write_bytes(content)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept.txt").write_text("behind a link")
    (first.folder / "link").symlink_to(tmp_path / "elsewhere")
    (first.folder / "empty").mkdir()
    return first, _copy(first, first.folder.parent / ".built")


def _check_foreign(folder: Path) -> None:
    for name, content in FOREIGN.items():
        assert (folder / name).read_bytes() == content, name
    assert (folder / "link").is_symlink()
    assert (folder / "link" / "kept.txt").read_text() == "behind a link"
    assert (folder / "empty").is_dir()


def test_a_saved_bundle_loads_unchanged(make_bundle, tmp_path):
    first = make_bundle()
    saved = replacement.save(first.manifest, _copy(first, tmp_path / "built"), tmp_path / "other")
    assert bundles.load(tmp_path / "other") == saved
    assert saved.manifest == first.manifest


def test_only_the_files_of_the_old_bundle_are_removed(crowded):
    first, built = crowded
    (built / "golden/red.jpg").rename(built / "golden/crimson.jpg")
    manifest = _next(first)
    files = {**manifest.files, "golden/crimson.jpg": manifest.files["golden/red.jpg"]}
    del files["golden/red.jpg"]
    second = replacement.save(manifest.model_copy(update={"files": files}), built, first.folder)
    assert second.folder == first.folder
    bundles.verify_files(second)
    assert not (first.folder / "golden/red.jpg").exists()
    _check_foreign(first.folder)
    assert [f.name for f in first.folder.parent.iterdir()] == ["colours"]


def test_a_build_that_lacks_a_file_changes_nothing(crowded):
    first, built = crowded
    before = _state(first.folder)
    (built / "golden/red.jpg").unlink()
    with pytest.raises(BundleMismatch, match=r"golden/red.jpg"):
        replacement.save(_next(first), built, first.folder)
    assert _state(first.folder) == before
    assert not (built / "bundle.json").exists()


def test_a_move_that_fails_leaves_the_old_bundle_in_place(crowded, monkeypatch):
    first, built = crowded
    before = _state(first.folder)
    replace = os.replace

    def fail_for_built(source, target):
        if source == built:
            raise OSError(18, "Invalid cross-device link")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_for_built)
    with pytest.raises(OSError, match="cross-device"):
        replacement.save(_next(first), built, first.folder)
    assert _state(first.folder) == before


class _Crash(BaseException):
    """A power failure: no code of the process runs after it."""


def test_a_crash_at_any_step_loses_nothing(crowded, monkeypatch):
    first, built = crowded
    steps = 0

    def count_down(function):
        def wrapped(*arguments, **options):
            nonlocal steps
            if steps == 0:
                raise _Crash
            steps -= 1
            return function(*arguments, **options)

        return wrapped

    crashes = 0
    while True:
        with monkeypatch.context() as patch:
            patch.setattr(replacement, "_recover", lambda _: None)  # not after a power failure
            for name in ("replace", "rename", "rmdir"):
                patch.setattr(os, name, count_down(getattr(os, name)))
            patch.setattr(Path, "unlink", count_down(Path.unlink))
            steps = crashes
            try:
                replacement.save(_next(first), built, first.folder)
            except _Crash:
                crashes += 1
            else:
                break
        replacement.recover(first.folder)
        bundles.verify_files(bundles.load(first.folder))
        _check_foreign(first.folder)
        if not built.exists():  # it took its place before the crash
            _copy(first, built)
    assert crashes > len(FOREIGN)
    assert [f.name for f in first.folder.parent.iterdir()] == ["colours"]


def test_a_hidden_folder_of_the_users_is_no_leftover(make_bundle, tmp_path):
    first = make_bundle()
    mine = first.folder.parent / ".colours.old"
    mine.mkdir()
    (mine / "backup.zip").write_text("mine")
    replacement.save(_next(first), _copy(first, tmp_path / "built"), first.folder)
    assert (mine / "backup.zip").read_text() == "mine"


def test_a_foreign_file_in_the_way_of_the_new_bundle_is_kept_under_another_name(crowded):
    first, built = crowded
    (first.folder / "later").write_text("mine")
    (built / "later").mkdir()
    lines = []
    replacement.save(_next(first), built, first.folder, lines.append)
    assert (first.folder / "later.kept1").read_text() == "mine"
    assert lines == ["later was not the bundle's own; it is kept as later.kept1"]


def test_a_linked_folder_of_the_bundle_is_not_emptied(crowded, tmp_path):
    first, built = crowded
    (first.folder / "golden").rename(tmp_path / "my golden photos")
    (first.folder / "golden").symlink_to(tmp_path / "my golden photos")
    replacement.save(_next(first), built, first.folder)
    assert (tmp_path / "my golden photos" / "red.jpg").is_file()
    assert (first.folder / "golden" / "red.jpg").is_file()


@pytest.mark.parametrize(
    ("recorded", "edited", "foreign"),
    [(True, False, []), (True, True, [MODEL_CARD]), (False, True, [])],
    ids=["as written", "edited", "an older bundle"],
)
def test_an_edited_model_card_is_the_users(make_bundle, tmp_path, recorded, edited, foreign):
    first = make_bundle()
    built = _copy(first, tmp_path / "built")
    (built / MODEL_CARD).write_text("# colours")
    sha256 = bundles.record_files(built, [MODEL_CARD])[MODEL_CARD].sha256 if recorded else None
    manifest = first.manifest.model_copy(update={"model_card_sha256": sha256})
    folder = replacement.save(manifest, built, first.folder).folder
    if edited:
        (folder / MODEL_CARD).write_text("# colours\n\nMine.")
    assert replacement.foreign_files(folder, replacement.own_files(folder)) == foreign
