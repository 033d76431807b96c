"""Bundles on S3 are copied, verified and served: against moto's server, by fsspec."""

import logging
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from app.errors import BadParameter, ModelStoreUnavailable
from app.model_store import ModelStore
from app.model_store.listing import files_of_bundles
from app.settings import Settings
from tests.conftest import COLOURS, jpeg

CLASSIFY = "/api/v1/classify"
ADMIN = {"Authorization": "Bearer admin"}


@pytest.fixture
def bucket(s3_endpoint, request, tmp_path):
    """A store of the test's own: its address, and a function that uploads a folder."""
    root = f"models/{request.node.originalname}-{tmp_path.name}"
    store = ModelStore(f"s3://{root}", tmp_path / "cache")

    def upload(folder: Path, name: str) -> None:
        store._filesystem.put(f"{folder}/", f"{root}/{name}/", recursive=True)

    store.upload = upload  # type: ignore[attr-defined]
    return store


def test_bundles_are_served_reloaded_and_removed(bucket, make_bundle, serve, tmp_path):
    bucket.upload(make_bundle(tmp_path / "made").folder, "colours/1")
    with serve(models=bucket.url, models_cache=tmp_path / "cache", admin_key="admin") as client:
        assert client.post(CLASSIFY, content=jpeg(COLOURS["red"])).json()["version"] == 1
        bucket.upload(make_bundle(tmp_path / "made", version=2).folder, "colours/2")
        reloaded = client.post("/api/v1/models/colours/reload", headers=ADMIN)
        assert reloaded.status_code == 200, reloaded.text
        assert client.post(CLASSIFY, content=jpeg(COLOURS["red"])).json()["version"] == 2
    bucket._filesystem.rm(f"{bucket._root}/colours/2", recursive=True)
    bucket.fetch()
    assert [file.parent.name for file in bucket.folder.rglob("bundle.json")] == ["1"]
    assert not (bucket.folder / "colours" / "2").exists()


def test_a_file_that_was_damaged_in_the_store_is_refused(bucket, make_bundle, serve, tmp_path):
    folder = make_bundle(tmp_path / "made").folder
    (folder / "model.onnx").write_bytes(b"x" * (folder / "model.onnx").stat().st_size)
    bucket.upload(folder, "colours")
    with serve(models=bucket.url, models_cache=tmp_path / "cache") as client:
        (model,) = client.get("/readyz").json()["models"]
    assert "model.onnx" in model["reason"]


def test_only_changed_files_are_fetched(bucket, make_bundle, tmp_path, monkeypatch):
    folder = make_bundle(tmp_path / "made").folder
    bucket.upload(folder, "colours")
    bucket.fetch()
    fetched: list[str] = []
    get_file = bucket._filesystem.get_file
    monkeypatch.setattr(
        bucket._filesystem,
        "get_file",
        lambda path, local: (fetched.append(path.rpartition("/")[2]), get_file(path, local)),
    )
    bucket.fetch()
    assert fetched == []
    (folder / "README.md").write_text("new")
    bucket.upload(folder, "colours")
    bucket.fetch()
    assert fetched == ["README.md"]


def test_a_fetch_that_fails_changes_no_bundle(bucket, make_bundle, tmp_path, monkeypatch):
    folder = make_bundle(tmp_path / "made").folder
    bucket.upload(folder, "colours")
    bucket.fetch()
    before = {file: file.read_bytes() for file in bucket.folder.rglob("*") if file.is_file()}
    for file in folder.rglob("*.*"):
        file.write_bytes(file.read_bytes() + b" ")
    bucket.upload(folder, "colours")
    get_file = bucket._filesystem.get_file

    def interrupted(path: str, local: str) -> None:
        if path.endswith("red.jpg"):
            raise ConnectionError("the network is down")
        get_file(path, local)

    monkeypatch.setattr(bucket._filesystem, "get_file", interrupted)
    with pytest.raises(ModelStoreUnavailable, match="the network is down"):
        bucket.fetch()
    assert {file: file.read_bytes() for file in before} == before


def test_without_the_store_the_copies_are_served(
    bucket, make_bundle, tmp_path, caplog, monkeypatch
):
    bucket.upload(make_bundle(tmp_path / "made").folder, "colours")
    bucket.fetch()
    monkeypatch.setattr(bucket, "_root", "no-such-bucket/models")
    with caplog.at_level(logging.WARNING, "hubel"):
        bucket.prepare()
    assert "can't be read" in caplog.text
    assert "The copies of the last start are served." in caplog.text
    other = ModelStore("s3://no-such-bucket/models", tmp_path / "cache", bucket._filesystem)
    with pytest.raises(
        ModelStoreUnavailable, match="Check the address, and the variables AWS_ACCESS"
    ):
        other.prepare()


@pytest.mark.parametrize("key", ["wasps//model.onnx", "wasps/1/../model.onnx"])
def test_a_key_that_is_no_path_hides_its_own_folder_alone(
    bucket, s3_endpoint, make_bundle, tmp_path, key
):
    bucket.upload(make_bundle(tmp_path / "wasps").folder, "wasps")
    bucket.fetch()
    odd = Request(f"{s3_endpoint}/{bucket._root}/{key}", data=b"x", method="PUT")
    urlopen(odd).close()
    bucket.upload(make_bundle(tmp_path / "made").folder, "colours")
    with pytest.raises(ModelStoreUnavailable, match=r"The folder wasps.* can.t be listed"):
        bucket.fetch()
    found = {file.parent.name for file in bucket.folder.rglob("bundle.json")}
    assert found == {"colours", "wasps"}


def test_an_empty_address_has_no_bundles(bucket):
    with pytest.raises(ModelStoreUnavailable, match="There are no bundles in s3://models/"):
        bucket.prepare()


def test_objects_that_consoles_make_for_folders_are_no_files():
    names = dict.fromkeys(("pets", "pets/1", "pets/1/bundle.json", "pets/1/model.onnx"), "")
    assert files_of_bundles(names) == {"pets/1": ["pets/1/bundle.json", "pets/1/model.onnx"]}
    names = dict.fromkeys(("pets", "pets/bundle.json"), "")
    assert files_of_bundles(names) == {"pets": ["pets/bundle.json"]}


def test_files_belong_to_the_nearest_bundle_and_others_are_left():
    names = [
        "pets/bundle.json",
        "pets/golden/a.jpg",
        "pets/2/bundle.json",
        "pets/2/model.onnx",
        "pets/../../etc/passwd",
        "bundle.json",
        "notes/readme.txt",
        "a/b/c/bundle.json",
        ".hidden/bundle.json",
    ]
    assert files_of_bundles(dict.fromkeys(names, "")) == {
        "pets": ["pets/bundle.json", "pets/golden/a.jpg"],
        "pets/2": ["pets/2/bundle.json", "pets/2/model.onnx"],
    }


def test_without_the_extra_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "obstore.fsspec", None)
    with pytest.raises(BadParameter, match="pip install hubel"):
        ModelStore("s3://models", tmp_path)


def test_the_setting_is_a_folder_or_an_address(tmp_path):
    assert Settings(models=tmp_path).models == tmp_path
    assert Settings(models="s3://bucket/models").models == "s3://bucket/models"
    for wrong, message in (("s3:/bucket", "looks like s3://"), (tmp_path / "no", "a directory")):
        with pytest.raises(ValueError, match=message):
            Settings(models=wrong)
