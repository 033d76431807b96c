"""The folders that are taken for bundles."""

from pathlib import Path

import pytest

from app.errors import BadParameter
from app.runtime import discovery
from app.runtime.discovery import discover, model_roots


@pytest.fixture
def models(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


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


def test_the_users_folder_comes_before_the_built_in_one(models):
    assert model_roots(models) == [models, discovery.BUILT_IN_MODELS]
    assert model_roots(None) == [discovery.BUILT_IN_MODELS]


def test_a_models_folder_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(BadParameter, match=r"can't be read \(No such file.*--models"):
        model_roots(tmp_path / "none")
