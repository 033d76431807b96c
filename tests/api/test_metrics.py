"""The metrics of predictions, batches and the build, and the page that lists them all."""

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from app.api import prediction_metrics
from app.api.metrics import _cumulative
from app.api.prediction_metrics import MAX_LABELS, PredictionMetrics
from app.runtime.batching import Batches

CLASSIFY = "/api/v1/classify"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


@pytest.fixture(scope="module")
def exposition(module_serve, module_bundle_maker, tmp_path_factory, request):
    """The metrics after two photos, one of them in two crops, and an explanation."""
    root = tmp_path_factory.mktemp("metrics")
    module_bundle_maker(root)()
    photo = request.getfixturevalue("photo")
    with module_serve(root) as client:
        files = [("file", ("a", photo("red"))), ("file", ("b", b"text"))]
        assert client.post(CLASSIFY, files=files).status_code == 200
        crops = {"crop": ["0,0,240,240", "100,100,90,90"]}
        assert client.post(CLASSIFY, content=photo("blue"), params=crops).status_code == 200
        client.post("/api/v1/explain", content=photo("blue"))
        return client.get("/metrics").text


def test_predictions_are_counted_by_label_decision_and_confidence(exposition):
    of_model = 'model="colours",version="1"'
    assert f'hubel_labels_total{{label="red",{of_model}}} 1.0' in exposition
    assert f'hubel_labels_total{{label="blue",{of_model}}} 2.0' in exposition
    decisions = re.findall(r"hubel_decisions_total\{.*\} (\d+)", exposition)
    assert sum(map(int, decisions)) == 3
    assert f"hubel_confidence_count{{{of_model}}} 3.0" in exposition


def test_images_of_requests_are_a_histogram(exposition):
    assert "hubel_request_images_count 3.0" in exposition
    assert "hubel_request_images_sum 4.0" in exposition


def test_the_build_is_in_the_metrics(exposition):
    assert re.search(r'hubel_build_info\{onnxruntime="\S+",python="3\.\d+', exposition)


def test_the_page_lists_every_metric(exposition):
    families = re.findall(r"# TYPE (hubel_\w+) (\w+)", exposition)
    names = [name for name, _ in families if not name.endswith("_created")]
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in page] == []


def test_labels_beyond_the_first_count_together():
    registry = CollectorRegistry()
    metrics = PredictionMetrics(registry)
    count = MAX_LABELS + 3
    labels = [SimpleNamespace(name=f"label{n}") for n in range(count)]
    model = SimpleNamespace(manifest=SimpleNamespace(task="single_label", labels=labels))
    for _ in range(2):
        for row in np.eye(count, dtype=np.float32):
            result = SimpleNamespace(model="many", version=1, decision=None, probabilities=row)
            metrics.observe(result, model)
    text = generate_latest(registry).decode()
    assert text.count("hubel_labels_total{") == MAX_LABELS + 1
    assert f'label="{prediction_metrics.OTHER_LABELS}",model="many",version="1"}} 6.0' in text
    assert 'hubel_decisions_total{decision="none",model="many",version="1"} 106.0' in text


def test_sizes_of_batches_are_cumulative():
    batches = Batches(lambda images: [images.astype(np.float32)])
    batches.run(np.zeros((2, 2, 3), np.uint8))
    assert batches.runs_by_images == {1: 1}
    buckets, images = _cumulative(Counter({1: 4, 3: 2, 32: 1}))
    assert images == 42
    assert dict(buckets) == {
        "1.0": 4,
        "2.0": 4,
        "4.0": 6,
        "8.0": 6,
        "16.0": 6,
        "32.0": 7,
        "+Inf": 7,
    }
