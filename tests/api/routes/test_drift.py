"""GET /api/v1/models/{name}/drift, and its gauges."""

import json
import re

import pytest
from onnx import TensorProto, helper

from app import bundle as bundles

CLASSIFY, DRIFT = "/api/v1/classify", "/api/v1/models/colours/drift"
EMBEDDING = {"mean": [0.8, -0.8, -0.8], "variance": 1.0, "dimensions": 2.0}
BASELINE = {"images": 300, "confidence": [0] * 19 + [300], "labels": [100, 100, 100]}


def _with_embedding(request):
    """Return the tiny graph with its embedding as an output."""
    graph = request.getfixturevalue("graph")()
    shape = ["N", 3]
    graph.graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, shape))
    return graph


@pytest.fixture(scope="module")
def client(module_serve, module_bundle_maker, tmp_path_factory, request):
    """A service whose bundle has a baseline, after 210 crops of a red photo."""
    root = tmp_path_factory.mktemp("drift")
    folder = module_bundle_maker(root)(graph=_with_embedding(request)).folder
    manifest = json.loads((folder / bundles.MANIFEST).read_text())
    del manifest["sha256"]
    baseline = {**BASELINE, "embeddings": {"fp32": EMBEDDING}}
    bundles.write_manifest({**manifest, "baseline": baseline}, folder)
    red = request.getfixturevalue("photo")("red")
    with module_serve(root, max_files=210) as client:
        assert client.get(DRIFT).json()["status"] == "too_few"
        params = {"crop": ["0,0,40,40"] * 210}
        assert client.post(CLASSIFY, content=red, params=params).status_code == 200
        yield client


def test_the_report_has_each_statistic_with_its_histogram(client):
    report = client.get(DRIFT).json()
    assert (report["status"], report["images"]) == ("significant", 210)
    assert report["baseline_images"] == 300
    assert report["since"].endswith("Z")
    label, confidence = report["statistics"]
    assert (label["of"], label["status"]) == ("label", "significant")
    assert label["psi"] > label["limit"] == 0.25
    assert label["bins"][0] == {"name": "red", "expected": 0.3333, "actual": 1.0}
    assert confidence["of"] == "confidence"


def test_the_report_has_the_distance_of_mean_embeddings(client):
    found = client.get(DRIFT).json()["embedding"]
    assert found["status"] == "stable"  # the photos are as red as those of the baseline
    assert 0 < found["distance"] < found["limit"]
    assert 0.2 < found["limit"] < 0.3  # chance: the photos are few
    text = client.get("/metrics").text
    of_model = 'model="colours",version="1"'
    assert f"hubel_drift_distance_limit{{{of_model}}} 0.2" in text
    assert f"hubel_drift_distance{{{of_model}}} 0." in text


def test_a_baseline_of_embeddings_that_the_graph_lacks_is_refused(make_bundle, rewrite, serve):
    folder = make_bundle().folder
    rewrite(folder, {"baseline": {**BASELINE, "embeddings": {"fp32": EMBEDDING}}})
    with serve() as client:
        reason = client.get("/readyz").json()["models"][0]["reason"]
    assert "embeddings of 3 numbers, which the graph does not return" in reason


def test_the_gauges_repeat_the_report(client):
    text = client.get("/metrics").text
    of_model = 'model="colours",version="1"'
    assert f"hubel_drift_images{{{of_model}}} 210.0" in text
    (index,) = re.findall(r'hubel_drift_psi\{model="colours",of="label",version="1"\} (\S+)', text)
    label = client.get(DRIFT).json()["statistics"][0]
    assert float(index) == pytest.approx(label["psi"], abs=1e-4)
    assert 'hubel_drift_limit{model="colours",of="label",version="1"} 0.25' in text


def test_an_unknown_model_is_not_found(client):
    response = client.get("/api/v1/models/wasps/drift")
    assert (response.status_code, response.json()["code"]) == (404, "unknown_model")


def test_a_baseline_with_too_few_labels_is_refused(make_bundle, rewrite, serve):
    folder = make_bundle().folder
    rewrite(folder, {"baseline": {**BASELINE, "labels": [1, 2]}})
    with serve() as client:
        reason = client.get("/readyz").json()["models"][0]["reason"]
    assert "the labels of the baseline must hold a number for each label" in reason
