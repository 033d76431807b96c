"""The folders that are taken for bundles."""

import re
from pathlib import Path

import pytest

from app.errors import BadParameter
from app.runtime import discovery
from app.runtime.discovery import discover, findings, model_roots


def test_bundles_are_discovered_by_name_and_by_version_except_hidden_ones(make_bundle, models):
    make_bundle(models, "ants")
    make_bundle(models, "birds", folder=models / "birds/1")
    make_bundle(models, "birds", 2, folder=models / ".birds.new")
    make_bundle(models, "birds", 3, folder=models / "birds/.3.old")
    (models / "empty").mkdir()
    (models / "a file").write_text("")
    make_bundle(models, "deep", folder=models / "a/b/c")
    assert list(discover([models])) == [models / "ants", models / "birds/1"]


def test_a_folder_that_cannot_be_read_is_skipped(make_bundle, models, monkeypatch):
    make_bundle(models, "good")
    (models / "lost+found").mkdir()
    original = Path.iterdir

    def refuse(folder):
        if folder.name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return original(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert [folder.name for folder in discover([models])] == ["good"]


def test_a_bundle_and_versions_in_its_folder_are_all_discovered(make_bundle, models):
    make_bundle(models, "pets", 1)
    make_bundle(models, "pets", 2, folder=models / "pets/2")
    make_bundle(models, "pets", 3, folder=models / "pets/3")
    assert list(discover([models])) == [models / "pets", models / "pets/2", models / "pets/3"]


def test_links_that_form_a_cycle_end(make_bundle, models, tmp_path):
    make_bundle(models, "pets", 1)
    make_bundle(tmp_path / "elsewhere", "birds", 1)
    (models / "a self").symlink_to(models / "a self")
    (models / "back").symlink_to(models)
    (models / "pets/up").symlink_to(models)
    (models / "pets/again").symlink_to(models / "pets")
    (models / "one").symlink_to(models / "two")
    (models / "two").symlink_to(models / "one")
    (models / "gone").symlink_to(tmp_path / "nothing")
    (models / "birds").symlink_to(tmp_path / "elsewhere/birds")
    (models / "birds too").symlink_to(tmp_path / "elsewhere/birds")
    assert list(discover([models])) == [models / "pets", models / "birds"]
    named = {line.split()[0].rsplit("/", 1)[-1] for line in findings(models) if "link" in line}
    assert named == {"one", "two", "gone", "a"}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            ["ResNet.onnx"],
            r"ResNet.onnx is no bundle, .* Make one: hubel import \S+/ResNet.onnx --labels LABELS "
            r"--output \S+/models/resnet$",
        ),
        (["my net.ONNX"], r"Make one: hubel import '\S+/my net.onnx' --labels"),
        (["net.pt"], r"Export the model to ONNX, then make a bundle: hubel import \S+/net.onnx"),
        (["pets.zip"], r"pets.zip is an archive, so it isn't served. Unpack it"),
        (["pets/photo.jpg"], r"pets has no bundle.json.* hubel train PHOTOS --output \S+/pets$"),
        (["pets/net.onnx"], r"pets has no bundle.json.*hubel import \S+/pets/net.onnx .*/pets$"),
        (["bundle.json"], r"models is itself a bundle.*Name its parent as --models"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_not_served_is_named_with_what_to_do(make_bundle, models, files, words):
    make_bundle(models, "good", 1)
    make_bundle(models, "birds", 1, folder=models / "birds/1")
    (models / "lost+found").mkdir()
    (models / "pins.json").write_text("{}")
    (models / "README.md").write_text("mine")
    (models / ".hidden.onnx").write_text("")
    assert list(findings(models)) == []
    for file in files:
        (models / file).parent.mkdir(exist_ok=True)
        (models / file).write_text("")
    (line,) = findings(models)
    assert re.search(words, line), line


def test_a_version_without_a_manifest_is_named_and_a_bundles_own_folders_are_not(
    make_bundle, models
):
    make_bundle(models, "pets", 1, report={"index.html": b"report"})
    (models / "pets/2").mkdir()
    make_bundle(models, "birds", 1, folder=models / "birds/1")
    (models / "birds/notes").mkdir()
    assert list(findings(models)) == [
        f"{models}/pets/2 has no bundle.json, so it isn't served. Copy the whole bundle."
    ]


def test_the_users_folder_comes_before_the_built_in_one(models):
    assert model_roots(models) == [models, discovery.BUILT_IN_MODELS]
    assert model_roots(None) == [discovery.BUILT_IN_MODELS]


def test_a_models_folder_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(BadParameter, match=r"can't be read \(No such file.*--models"):
        model_roots(tmp_path / "none")
