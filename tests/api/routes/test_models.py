"""The list of models, their details, and reloads."""

import pytest

BOSS = {"X-API-Key": "boss"}


def test_models_are_listed_with_precision_and_notes(make_bundle, serve, tmp_path):
    make_bundle(int8_sharpness=8.0)
    make_bundle(tmp_path / "models", "poor", int8_sharpness=1.0)
    with serve(default_model="colours") as client:
        body = client.get("/api/v1/models").json()
    good, poor = body["models"]
    assert body["default"] == "colours"
    assert good == {
        "name": "colours",
        "version": 1,
        "state": "ready",
        "default": True,
        "serving": True,
        "pinned": False,
        "held": False,
        "held_reason": None,
        "trial": None,
        "precision": "int8",
        "device": "cpu",
        "labels": 3,
        "task": "single_label",
        "reason": None,
        "notes": [],
        "report": False,
    }
    assert (poor["name"], poor["precision"], poor["default"]) == ("poor", "fp32", False)
    assert "int8 is skipped" in poor["notes"][0]


def test_a_refused_model_is_listed_with_its_reason(make_bundle, serve):
    folder = make_bundle().folder
    (folder / "model.onnx").write_bytes(b"changed")
    with serve() as client:
        (model,) = client.get("/api/v1/models").json()["models"]
        assert (model["state"], model["precision"], model["labels"]) == ("refused", None, None)
        assert (model["version"], model["default"]) == (1, True)
        assert "model.onnx has 7 bytes" in model["reason"]
        response = client.get("/api/v1/models/colours")
        assert (response.status_code, response.json()["code"]) == (503, "model_not_ready")


def test_a_model_is_described_with_labels_input_and_origin(client):
    body = client.get("/api/v1/models/colours").json()
    assert body["label_names"] == ["red", "green", "blue"]
    assert body["label_ids"] == ["id-red", "id-green", "id-blue"]
    expected = {"canvas": 480, "fit": "cover", "size": 32, "crop": 1.0, "resample": "box"}
    assert body["input"] == expected
    assert body["metrics"]["fp32"]["top1"] == 1
    assert body["training"]["recipe"] == "none"
    assert body["calibration"] is None


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/models/wasps", 404),
        ("/api/v1/models/colours?version=7", 404),
        ("/api/v1/models/colours?version=0", 400),
        ("/api/v1/models/colours?version=x", 400),
        ("/api/v1/models/colours?version=1", 200),
        ("/api/v1/models/..%2F..%2Fetc", 404),
    ],
)
def test_a_missing_model_or_version_is_rejected(client, path, status):
    assert client.get(path).status_code == status


def test_a_reload_brings_a_new_version_into_service(make_bundle, serve, photo, tmp_path):
    make_bundle(folder=tmp_path / "models/colours/1")
    with serve(admin_key="boss") as client:
        make_bundle(version=2, folder=tmp_path / "models/colours/2")
        assert client.post("/api/v1/classify", content=photo("red")).json()["version"] == 1
        response = client.post("/api/v1/models/colours/reload", headers=BOSS)
        assert response.status_code == 200
        assert [m["version"] for m in response.json()["models"]] == [2, 1]
        assert client.post("/api/v1/classify", content=photo("red")).json()["version"] == 2


def test_a_failed_reload_leaves_the_old_model_serving(make_bundle, serve, photo):
    folder = make_bundle().folder
    with serve(admin_key="boss") as client:
        (folder / "bundle.json").write_text("{")
        response = client.post("/api/v1/models/colours/reload", headers=BOSS)
        assert response.status_code == 409
        body = client.post("/api/v1/classify", content=photo("red")).json()
        assert body["predictions"][0]["label"] == "red"
        (model,) = client.get("/api/v1/models").json()["models"]
        assert model["state"] == "ready"
        assert "not a valid bundle" in model["reason"]
        assert client.get("/readyz").status_code == 200


def test_a_reload_of_an_unknown_model_is_a_problem(make_bundle, serve):
    make_bundle()
    with serve(admin_key="boss") as client:
        response = client.post("/api/v1/models/wasps/reload", headers=BOSS)
    assert (response.status_code, response.json()["code"]) == (404, "unknown_model")
