"""Open Inference Protocol v2 with tritonclient: metadata, and loading of models."""

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from app.settings import Settings


def admin():
    return {"Authorization": "Bearer boss"}  # a new one each time: tritonclient adds to it


def connected(client, **options):
    return triton.InferenceServerClient(f"127.0.0.1:{client.base_url.port}", **options)


@pytest.fixture
def speaker(client):
    with connected(client) as speaker:
        yield speaker


def images(*contents):
    array = np.empty(len(contents), object)
    array[:] = contents
    tensor = triton.InferInput("image", [len(contents)], "BYTES")
    return tensor.set_data_from_numpy(array)


def test_metadata_has_what_a_client_needs(client, speaker):
    assert (speaker.is_server_live(), speaker.is_server_ready()) == (True, True)
    server = speaker.get_server_metadata()
    assert (server["name"], list(server)) == ("hubel", ["name", "version", "extensions"])
    assert "binary_tensor_data" in server["extensions"]
    assert speaker.get_model_metadata("colours", "1") == speaker.get_model_metadata("colours")
    assert speaker.get_model_metadata("colours") == {
        "name": "colours",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 480, 480, 3]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}],
    }
    config = speaker.get_model_config("colours")
    assert config == speaker.get_model_config("colours", "1")
    assert config["max_batch_size"] == Settings().max_files
    assert config["input"] == [
        {
            "name": "image",
            "data_type": "TYPE_UINT8",
            "format": "FORMAT_NHWC",
            "dims": [480, 480, 3],
        }
    ]
    assert config["output"][0]["dims"] == [3]
    assert client.get("/v2/models").json() == {"models": ["colours"]}


def test_a_random_tensor_of_the_metadatas_shape_is_classified(speaker):
    """Do as perf_analyzer does: send an array of the metadata's shape, with 1 for -1."""
    metadata = speaker.get_model_metadata("colours")["inputs"][0]
    shape = [max(1, side) for side in metadata["shape"]]
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    inputs = triton.InferInput("image", shape, metadata["datatype"]).set_data_from_numpy(array)
    response = speaker.infer("colours", [inputs])
    assert response.as_numpy("probabilities").sum() == pytest.approx(1, abs=1e-5)


def test_versions_are_selected_by_path(make_bundle, serve, photo, tmp_path):
    models = tmp_path / "models"
    make_bundle(models, "colours", 1, folder=models / "colours/1", sharpness=2.0)
    make_bundle(models, "colours", 2, folder=models / "colours/2")
    with serve() as client, connected(client) as speaker:
        inputs = [images(photo("red"))]
        responses = {v: speaker.infer("colours", inputs, model_version=v) for v in ("", "1", "2")}
        assert {v: a.get_response()["model_version"] for v, a in responses.items()} == {
            "": "2",
            "1": "1",
            "2": "2",
        }
        rows = {v: response.as_numpy("probabilities")[0] for v, response in responses.items()}
        assert np.array_equal(rows[""], rows["2"])
        assert not np.allclose(rows["1"], rows["2"])
        assert speaker.get_model_metadata("colours", "1")["versions"] == ["1", "2"]
        assert speaker.is_model_ready("colours", "2")
        assert not speaker.is_model_ready("colours", "3")
        with pytest.raises(InferenceServerException, match="no version 3"):
            speaker.infer("colours", inputs, model_version="3")


def test_while_draining_nothing_is_ready_but_requests_are_served(client, speaker, photo):
    lifecycle = client.app.state.service.lifecycle
    lifecycle.draining = True
    try:
        assert speaker.is_server_live()
        assert not speaker.is_server_ready()
        assert not speaker.is_model_ready("colours")
        inputs = [images(photo("red"))]
        assert speaker.infer("colours", inputs).as_numpy("probabilities").argmax() == 0
    finally:
        lifecycle.draining = False
    assert speaker.is_server_ready()


def test_a_refused_model_returns_503_with_the_reason(make_bundle, serve, rewrite, photo, tmp_path):
    make_bundle()
    make_bundle(name="other")
    (tmp_path / "models/other/model.onnx").write_bytes(b"broken")
    with serve(default_model="colours") as client, connected(client) as speaker:
        assert not speaker.is_model_ready("other")
        with pytest.raises(InferenceServerException, match="'other' is not ready") as caught:
            speaker.infer("other", [images(photo("red"))])
        assert caught.value.status() == "503"
        for ask in (speaker.get_model_metadata, speaker.get_model_config):
            with pytest.raises(InferenceServerException, match="is not ready"):
                ask("other")
        entry = next(e for e in speaker.get_model_repository_index() if e["name"] == "other")
        assert (entry["version"], entry["state"]) == ("1", "UNAVAILABLE")
        assert entry["reason"]
        assert client.get("/v2/models").json() == {"models": ["colours"]}


@pytest.fixture
def keyed(make_bundle, serve):
    make_bundle()
    with serve(api_key="hush", admin_key="boss") as client, connected(client) as speaker:
        yield speaker


def test_every_request_except_the_probes_needs_the_key(keyed, photo):
    assert keyed.is_server_live()
    assert keyed.is_server_ready()
    assert not keyed.is_model_ready("colours")
    asks = [
        keyed.get_server_metadata,
        lambda headers=None: keyed.get_model_metadata("colours", headers=headers),
        lambda headers=None: keyed.get_model_config("colours", headers=headers),
        keyed.get_model_repository_index,
        lambda headers=None: keyed.infer("colours", [images(photo("red"))], headers=headers),
    ]
    for ask in asks:
        with pytest.raises(InferenceServerException, match="A key is needed") as caught:
            ask()
        assert caught.value.status() == "401"
        assert ask(headers={"Authorization": "Bearer hush"})
    assert keyed.is_model_ready("colours", headers={"Authorization": "Bearer hush"})


def test_only_the_admin_key_loads_and_unloads(keyed):
    for ask in (keyed.load_model, keyed.unload_model):
        with pytest.raises(InferenceServerException, match="lacks the admin scope") as caught:
            ask("colours", headers={"Authorization": "Bearer hush"})
        assert caught.value.status() == "403"
        with pytest.raises(InferenceServerException) as caught:
            ask("colours")
        assert caught.value.status() == "401"
        ask("colours", headers=admin())
        with pytest.raises(InferenceServerException, match="'wasps'") as caught:
            ask("wasps", headers=admin())
        assert caught.value.status() == "404"


def test_a_model_is_unloaded_and_loaded_again(keyed, photo):
    inputs = [images(photo("red"))]
    keyed.unload_model("colours", headers=admin())
    (entry,) = keyed.get_model_repository_index(headers=admin())
    assert (entry["state"], "unloaded" in entry["reason"]) == ("UNAVAILABLE", True)
    assert not keyed.is_model_ready("colours", headers=admin())
    with pytest.raises(InferenceServerException, match="unloaded") as caught:
        keyed.infer("colours", inputs, headers=admin())
    assert caught.value.status() == "503"
    keyed.load_model("colours", headers=admin())
    assert keyed.infer("colours", inputs, headers=admin()).as_numpy("probabilities").shape == (1, 3)
    index = keyed.get_model_repository_index(headers=admin())
    assert index == [{"name": "colours", "version": "1", "state": "READY", "reason": ""}]


def test_a_new_version_is_loaded_and_a_bad_one_refused(make_bundle, serve, tmp_path, photo):
    models = tmp_path / "models"
    make_bundle(models, folder=models / "colours/1")
    inputs = [images(photo("red"))]
    with serve(admin_key="boss") as client, connected(client) as speaker:
        make_bundle(models, version=2, folder=models / "colours/2")
        speaker.load_model("colours", headers=admin())
        assert speaker.infer("colours", inputs).get_response()["model_version"] == "2"
        make_bundle(models, version=3, folder=models / "colours/3")
        (models / "colours/3/model.onnx").write_bytes(b"broken")
        with pytest.raises(InferenceServerException, match="3 is refused") as caught:
            speaker.load_model("colours", headers=admin())
        assert caught.value.status() == "409"
        assert speaker.infer("colours", inputs).get_response()["model_version"] == "2"
        index = client.post("/v2/repository/index", json={"ready": True}).json()
        assert [entry["version"] for entry in index] == ["2", "1"]
        assert len(speaker.get_model_repository_index()) == 3


def test_configurations_and_files_in_a_request_are_rejected(keyed):
    for parameters in ({"config": "{}"}, {"config": "{}", "files": {"file:1/model.onnx": b"x"}}):
        with pytest.raises(InferenceServerException, match="from its bundle alone"):
            keyed.load_model("colours", headers=admin(), **parameters)
