"""benchmarks/autoscaler.py reads the metric that the autoscaler of deploy/kubernetes reads."""

import yaml
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from benchmarks.autoscaler import queue_depth
from benchmarks.simulation.autoscaler import FILE


def test_the_depth_of_the_queue_is_the_service_s_metric_and_the_autoscaler_s():
    with TestClient(create_app(Settings())) as client:
        metrics = client.get("/metrics").text
    assert queue_depth(metrics) == 0
    assert queue_depth(metrics.replace("hubel_queue_depth 0.0", "hubel_queue_depth 12.0")) == 12
    pods, _ = yaml.safe_load(FILE.read_text("utf-8"))["spec"]["metrics"]
    assert pods["pods"]["metric"]["name"] == "hubel_queue_depth"
