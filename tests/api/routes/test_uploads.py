"""POST /api/v1/uploads: models that are sent; what is refused, and leaves nothing."""

import hashlib
import io
import json
import zipfile

import pytest

from app.bundle import MODEL_CARD, write_manifest
from app.errors import BundleMismatch
from app.uploads.bundle_upload import unpack_bundle
from app.zip_directory import ZipLimits

UPLOADS = "/api/v1/uploads"


@pytest.fixture
def receiving(make_bundle, serve, tmp_path):
    """Return what starts a service that receives models, for a client with the admin key."""
    make_bundle()
    (tmp_path / "data").mkdir()

    def start(**settings):
        return serve(**{"data_dir": tmp_path / "data", "admin_key": "adm", **settings})

    return start


def zipped(folder, above="", **changed):
    """Return a folder as a zip; keywords replace files, or leave them out with None."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            content = changed.get(name, path.read_bytes()) if path.is_file() else None
            if content is not None:
                archive.writestr(above + name, content)
    return data.getvalue()


def test_a_bundle_is_installed_and_held_back(receiving, make_bundle, photo, tmp_path):
    other = make_bundle(tmp_path / "other", "pets", 3)
    with receiving() as client:
        client.headers["X-API-Key"] = "adm"
        data = zipped(other.folder, "pets/3/", **{"extra.txt": b"x"})
        sent = client.post(UPLOADS, content=data).json()
        assert (sent["kind"], sent["model"], sent["version"]) == ("bundle", "pets", 3)
        assert (tmp_path / "models/pets/3/bundle.json").is_file()
        named = {"model": "pets", "version": 3}
        assert client.post("/api/v1/classify", content=photo("red"), params=named).is_success
        assert client.post("/api/v1/models/pets/reload?version=3").is_success
        assert client.post("/api/v1/classify?model=pets", content=photo("red")).is_success
        again = client.post(UPLOADS, content=data).json()
        assert again["code"] == "bundle_mismatch"
        back = client.get("/api/v1/models/pets/versions/3/bundle.zip").content
        assert client.post(UPLOADS, content=back).json()["code"] == "bundle_mismatch"
    assert list((tmp_path / "data/uploads").iterdir()) == []


def test_bundles_that_are_not_whole_are_refused_and_leave_nothing(
    receiving, make_bundle, rewrite, tmp_path
):
    other = make_bundle(tmp_path / "other", "pets", 3)
    folder = other.folder
    cases = [
        (zipped(folder, **{"model.onnx": None}), "bundle_mismatch"),
        (zipped(folder, **{"bundle.json": None}), "bad_archive"),
        (zipped(folder, **{"bundle.json": b"{}"}), "bundle_invalid"),
        (zipped(folder, **{"golden/red.jpg": b"x"}), "bundle_mismatch"),
        (
            zipped(folder, **{"model.onnx": bytes((folder / "model.onnx").stat().st_size)}),
            "bundle_mismatch",
        ),
        (zipped(folder)[:-9], "bad_archive"),
        (b"no model", "not_a_model"),
        (b"", "not_a_model"),
        (bytes(200_001), "too_many_bytes"),
    ]
    rewrite(folder, {"calibration": None, "labels/0/name": "blue", "labels/2/name": "red"})
    cases.append((zipped(folder), "bundle_mismatch"))
    with receiving(upload_max_bytes=200_000) as client:
        client.headers["X-API-Key"] = "adm"
        for data, code in cases:
            response = client.post(UPLOADS, content=data)
            assert response.json()["code"] == code, response.text
            assert str(tmp_path) not in response.json()["detail"]
        assert client.post(UPLOADS, files={"file": b"x"}).status_code == 415
        client.headers["X-API-Key"] = "no"
        assert client.post(UPLOADS, content=b"x").status_code == 401
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["colours"]
    assert list((tmp_path / "data/uploads").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["golden/red.jpg/x", "model.onnx/x", "bundle.json/x", "bundle.json", "x" * 300, "README.md/x"],
)
def test_file_names_that_clash_or_are_too_long_are_a_mismatch(make_bundle, tmp_path, name):
    folder = make_bundle(tmp_path / "other", "pets", 3).folder
    document = json.loads((folder / "bundle.json").read_bytes())
    document.pop("sha256")
    size = 100_000 if name == "bundle.json" else 0
    document["files"][name] = {"sha256": hashlib.sha256(b"").hexdigest(), "bytes": size}
    write_manifest(document, folder)
    text = (folder / "bundle.json").read_text()
    (folder / "bundle.json").write_text(text.ljust(100_000))
    data = io.BytesIO(zipped(folder, **{MODEL_CARD: None}))
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr(MODEL_CARD, b"")
        if name != "bundle.json":
            archive.writestr(name, b"")
    (tmp_path / "x.zip").write_bytes(data.getvalue())
    with pytest.raises(BundleMismatch, match="can't be unpacked"):
        unpack_bundle(tmp_path / "x.zip", tmp_path / "new", ZipLimits(100, 10**8, 100))


def test_an_onnx_file_waits_for_an_import(receiving, graph):
    with receiving() as client:
        client.headers["X-API-Key"] = "adm"
        sent = client.post(UPLOADS, content=graph().SerializeToString()).json()
        assert (sent["kind"], sent["labels"]) == ("onnx", 3)
        assert sent["asks"] == ["labels"]
        assert client.app.state.service.uploads.path(sent["id"]).is_file()


def test_without_a_place_nothing_is_accepted(receiving, make_bundle, tmp_path):
    other = make_bundle(tmp_path / "other", "pets", 3)
    with receiving(data_dir=None) as client:
        client.headers["X-API-Key"] = "adm"
        assert client.post(UPLOADS, content=b"x").json()["code"] == "store_off"
    with receiving(models=None) as client:
        client.headers["X-API-Key"] = "adm"
        response = client.post(UPLOADS, content=zipped(other.folder))
        assert response.json()["code"] == "models_read_only"
