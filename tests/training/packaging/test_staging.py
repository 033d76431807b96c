"""The folders that a bundle is built in are removed, also those of a killed run."""

import signal
import subprocess
import sys

import pytest

from app import bundle as bundles
from training.errors import DataUnusable
from training.packaging import versions
from training.packaging.staging import folder_beside, require_free

_BUILDS = """
import sys, time
from pathlib import Path
from training.packaging.staging import folder_beside
with folder_beside(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("written")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def running(tmp_path):
    """Start another process that is building `tmp_path / "pets"`; return it and its folder."""
    with subprocess.Popen(
        [sys.executable, "-c", _BUILDS, tmp_path / "pets"], stdout=subprocess.PIPE, text=True
    ) as process:
        yield process, process.stdout.readline().strip()
        process.kill()


def _names(folder):
    return sorted(str(path) for path in folder.iterdir())


def test_a_run_leaves_no_folder_behind(tmp_path):
    with folder_beside(tmp_path / "pets") as folder:
        (folder / "model.onnx").write_bytes(b"x")
        assert _names(tmp_path) == [str(folder)]
    assert _names(tmp_path) == []


def test_the_folder_of_a_killed_run_is_removed_by_the_next_run(tmp_path, running):
    process, folder = running
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert _names(tmp_path) == [folder]
    with folder_beside(tmp_path / "pets") as own:
        assert _names(tmp_path) == [str(own)]


def test_the_folder_of_a_live_run_is_left_alone(tmp_path, running):
    _, folder = running
    with folder_beside(tmp_path / "pets") as own:
        assert _names(tmp_path) == sorted([folder, str(own)])
    assert _names(tmp_path) == [folder]


@pytest.mark.parametrize("other", ["cats", "pets.v2", "[ep]ts"])
def test_the_folder_of_another_output_is_left_alone(tmp_path, running, other):
    process, folder = running
    process.kill()
    process.wait()
    with folder_beside(tmp_path / other):
        assert folder in _names(tmp_path)
    assert _names(tmp_path) == [folder]


@pytest.fixture
def bundle(make_bundle):
    return make_bundle().folder


def _add(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")


@pytest.mark.parametrize(
    "name", ["notes.txt", "photos/cat/1.jpg", "2/bundle.json", "golden/mine.jpg", ".env"]
)
def test_a_bundle_among_other_files_needs_force(bundle, name):
    _add(bundle, name)
    with pytest.raises(DataUnusable, match=r"which is not part of its bundle\. Add --force"):
        require_free(bundle)
    kept = require_free(bundle, force=True)
    assert [part for part in kept if name.startswith(part)] == kept
    assert len(kept) == 1


def test_a_bundle_alone_and_what_a_desktop_writes_need_no_force(bundle, tmp_path):
    assert require_free(bundle) == []
    _add(bundle, ".DS_Store", "Thumbs.db")
    assert require_free(bundle) == []
    assert require_free(tmp_path / "new") == []


def test_many_foreign_files_are_counted(bundle):
    _add(bundle, *(f"note{index}.txt" for index in range(9)))
    with pytest.raises(DataUnusable, match=r"note3\.txt and 5 more, which are not part"):
        require_free(bundle)


def test_a_flat_bundle_beside_folders_of_versions_needs_force(make_bundle, tmp_path):
    (tmp_path / "models/pets").mkdir(parents=True)
    for version in (1, 2):
        make_bundle(tmp_path / "made", f"pets{version}").folder.rename(
            tmp_path / "models/pets" / str(version)
        )
    pets = tmp_path / "models/pets"
    with pytest.raises(DataUnusable, match=r"holds 1, 2, .* another --output, such as \S+/pets/3"):
        require_free(pets)
    assert require_free(pets, force=True) == ["1", "2"]
    _add(pets, "thesis.txt")
    with pytest.raises(DataUnusable, match="exists and is not a bundle"):
        require_free(pets, force=True)


@pytest.mark.parametrize("name", ["model.int8.onnx", "report/mine.txt", "report"])
def test_a_foreign_file_in_the_way_is_refused_even_with_force(bundle, name):
    _add(bundle, name)
    with pytest.raises(DataUnusable, match=r"in the way of the new one\. Move that"):
        require_free(bundle, force=True)


@pytest.mark.parametrize("document", ["{", '{"name": "pets"}', None])
def test_a_bundle_whose_list_of_files_cannot_be_trusted_is_not_replaced(bundle, document):
    manifest = bundle / "bundle.json"
    text = manifest.read_text()
    manifest.write_text(document or text.replace("golden/red.jpg", "../a.jpg"))
    with pytest.raises(DataUnusable, match="doesn't say reliably which files"):
        require_free(bundle, force=True)


def test_inputs_inside_the_output_are_refused(bundle, tmp_path):
    for path in (bundle / "model.onnx", bundle / "photos", tmp_path):
        with pytest.raises(DataUnusable, match="must not contain each other"):
            require_free(bundle, path, force=True)


def test_a_version_that_another_folder_has_is_refused(make_bundle, tmp_path):
    pets = tmp_path / "models/pets"
    flat = make_bundle(tmp_path / "models", "pets").folder
    made = make_bundle(tmp_path / "made", "pets", version=3)
    made.folder.rename(flat / "3")
    with pytest.raises(DataUnusable, match=r"pets/3 is already version 3 of pets.*--version 4"):
        versions.require_unused(pets, "pets", 3)
    with pytest.raises(DataUnusable, match="is already version 1"):
        versions.require_unused(pets / "4", "pets", 1)
    versions.require_unused(pets, "pets", 1)  # the one that it replaces
    versions.require_unused(pets, "cats", 3)
    assert versions.summary(bundles.load(pets)) == (
        f"made pets version 1; {pets / '3'} is version 3, and the highest serves"
    )
    assert versions.summary(bundles.load(pets / "3")) == "made pets version 3"
