"""The bundle of a model as a zip: what is in it, who may have it, and how much memory it takes."""

import io
import zipfile

import pytest

from app import bundle as bundles
from app.bundle import zip_stream
from app.bundle.zip_stream import BundleZip
from app.errors import ModelNotReady

URL = "/api/v1/models/colours/versions/1/bundle.zip"


def test_the_zip_holds_the_bundle_for_a_models_folder(make_bundle, serve, tmp_path):
    bundle = make_bundle()
    (bundle.folder / "README.md").write_text("card")
    with serve(admin_key="adm", api_key="api") as client:
        for key, status in (("api", 403), ("no", 401)):
            assert client.get(URL, headers={"X-API-Key": key}).status_code == status
        client.headers["X-API-Key"] = "adm"
        response = client.get(URL)
        assert response.headers["content-type"] == "application/zip"
        assert response.headers["content-disposition"].endswith('filename="colours-1.zip"')
        assert client.get(URL.replace("/1/", "/2/")).json()["code"] == "unknown_model"
        (bundle.folder / "model.onnx").write_bytes(b"another")
        assert client.get(URL).json()["code"] == "model_not_ready"
        (bundle.folder / "model.onnx").unlink()
        assert client.get(URL).json()["code"] == "model_not_ready"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "out")
    out = bundles.load(tmp_path / "out/colours/1")
    bundles.verify_files(out)
    assert out.path("README.md").read_text() == "card"
    assert not any(info.flag_bits & 8 for info in archive.infolist())


def test_a_large_bundle_has_the_records_of_zip64(make_bundle, monkeypatch):
    bundle = make_bundle()
    monkeypatch.setattr(zip_stream, "_LARGE", 500)
    archive = BundleZip(bundle, "colours/1")
    data = b"".join(archive.pieces())
    assert len(data) == archive.length
    assert b"PK\6\6" in data
    with zipfile.ZipFile(io.BytesIO(data)) as read:
        assert read.testzip() is None
        assert len(read.infolist()) == len(bundle.manifest.files) + 1


def test_a_file_that_shrinks_while_it_is_sent_ends_the_zip(make_bundle):
    bundle = make_bundle()
    pieces = BundleZip(bundle, "x").pieces()
    for name in bundle.manifest.files:
        bundle.path(name).write_bytes(b"")
    with pytest.raises(OSError, match="shorter"):
        list(pieces)
    with pytest.raises(ModelNotReady):
        BundleZip(bundle, "x")
