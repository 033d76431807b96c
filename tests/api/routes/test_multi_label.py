"""A multi-label model: every label with its own probability, on all routes and in all protocols."""

import base64
import io
import math

import httpx
import pytest
from huggingface_hub import InferenceClient
from PIL import Image

from app.settings import Settings
from tests.conftest import _bundle_maker, _serve

LABELS = ("red", "green", "blue")
YELLOW, BLACK, DULL_RED = (230, 230, 20), (20, 20, 20), (128, 20, 20)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A service with a model of the colours that a photo may have, several or none."""
    root = tmp_path_factory.mktemp("several")
    _bundle_maker(root)(name="colours", labels=LABELS, thresholds=(0.5, 0.5, 0.5))
    with _serve(Settings(models=root / "models", device="cpu", default_model="colours")) as client:
        yield client


def picture(rgb):
    file = io.BytesIO()
    Image.new("RGB", (64, 64), rgb).save(file, "PNG")
    return file.getvalue()


def classify(client, rgb, **query) -> httpx.Response:
    return client.post("/api/v1/classify", content=picture(rgb), params=query)


@pytest.mark.parametrize(
    ("rgb", "accepted", "decision"),
    [
        pytest.param(YELLOW, {"red", "green"}, "accepted", id="several"),
        pytest.param(BLACK, set(), "accepted", id="none"),
        pytest.param((230, 20, 20), {"red"}, "accepted", id="one"),
        pytest.param(DULL_RED, {"red"}, "unsure", id="too-close-to-call"),
    ],
)
def test_every_label_is_listed_and_says_whether_it_is_accepted(client, rgb, accepted, decision):
    body = classify(client, rgb).json()
    predictions = body["predictions"]
    assert {p["label"] for p in predictions} == set(LABELS)
    assert {p["label"] for p in predictions if p["accepted"]} == accepted
    assert predictions == sorted(predictions, key=lambda p: -p["probability"])
    assert body["decision"] == decision


def test_top_k_and_min_probability_shorten_the_list(client):
    assert len(classify(client, YELLOW, top_k=1).json()["predictions"]) == 1
    listed = classify(client, YELLOW, min_probability=0.5).json()["predictions"]
    assert {p["label"] for p in listed} == {"red", "green"}


def test_a_batch_has_such_results(client):
    files = [("file", ("a.png", picture(rgb))) for rgb in (YELLOW, BLACK)]
    results = client.post("/api/v1/classify", files=files).json()["results"]
    counts = [sum(p["accepted"] for p in result["predictions"]) for result in results]
    assert counts == [2, 0]


def test_the_model_states_its_task_and_its_thresholds(client):
    models = client.get("/api/v1/models").json()["models"]
    summary = next(model for model in models if model["name"] == "colours")
    assert summary["task"] == "multi_label"
    details = client.get("/api/v1/models/colours").json()
    assert details["thresholds"] == [0.5, 0.5, 0.5]
    assert details["undecided"] == [pytest.approx([1 / 3, 2 / 3])] * 3
    assert details["metrics"]["fp32"]["mean_average_precision"] == 1


def own(client, rgb):
    predictions = classify(client, rgb).json()["predictions"]
    return {p["label"]: p["probability"] for p in predictions}


def hugging_face(client, rgb, **parameters):
    hub = InferenceClient(model=f"{client.base_url}/hf/colours", timeout=20)
    return {e.label: e.score for e in hub.image_classification(picture(rgb), **parameters)}


@pytest.mark.parametrize("function", [None, "sigmoid"])
def test_hugging_face_gives_the_sigmoids(client, function):
    scores = hugging_face(client, YELLOW, function_to_apply=function)
    assert scores == pytest.approx(own(client, YELLOW), abs=1e-6)


def test_hugging_face_gives_the_logits_and_their_softmax(client):
    expected = {label: math.log(p / (1 - p)) for label, p in own(client, DULL_RED).items()}
    logits = hugging_face(client, DULL_RED, function_to_apply="none")
    assert logits == pytest.approx(expected, abs=1e-2)
    softmax = hugging_face(client, DULL_RED, function_to_apply="softmax")
    total = sum(math.exp(value) for value in logits.values())
    assert softmax == pytest.approx({k: math.exp(v) / total for k, v in logits.items()})


def test_hugging_face_rejects_another_function(client):
    body = {"inputs": b64(YELLOW), "parameters": {"function_to_apply": "relu"}}
    response = client.post("/hf/colours", json=body)
    assert response.status_code == 400
    assert "must be sigmoid, softmax or none" in response.json()["error"]


def b64(rgb):
    return base64.b64encode(picture(rgb)).decode()


def test_the_other_protocols_give_the_same_probabilities(client):
    expected = own(client, YELLOW)
    served = client.post("/predictions/colours", content=picture(YELLOW)).json()
    assert served == pytest.approx(expected, abs=1e-6)
    instances = {"instances": [{"b64": b64(YELLOW)}]}
    (row,) = client.post("/v1/models/colours:predict", json=instances).json()["predictions"]
    assert row == pytest.approx([expected[label] for label in LABELS], abs=1e-6)
    examples = {"examples": [{"image": {"b64": b64(YELLOW)}}]}
    (pairs,) = client.post("/v1/models/colours:classify", json=examples).json()["results"]
    assert dict(pairs) == pytest.approx(expected, abs=1e-6)
    image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [b64(YELLOW)]}
    (output,) = client.post("/v2/models/colours/infer", json={"inputs": [image]}).json()["outputs"]
    assert output["shape"] == [1, 3]
    assert output["data"] == pytest.approx([expected[label] for label in LABELS], abs=1e-6)
