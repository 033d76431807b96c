"""Probes and metrics."""

import os

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.errors import BadParameter
from app.main import create_service
from app.settings import Settings

CLASSIFY = "/api/v1/classify"


def samples(client):
    """Return (name, labels) -> value, as Prometheus reads them."""
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


@pytest.fixture
def fresh(make_bundle, serve):
    make_bundle()
    with serve() as client:
        yield client


def test_a_running_process_is_alive(client):
    assert client.get("/livez").json() == {"status": "alive"}


def test_a_ready_service_lists_its_models(client):
    response = client.get("/readyz")
    body = response.json()
    assert response.status_code == 200
    assert (body["status"], body["default"], body["device"]) == ("ready", "colours", "cpu")
    assert [(m["name"], m["state"]) for m in body["models"]] == [("colours", "ready")]


def test_a_service_whose_default_model_is_refused_is_not_ready_but_alive(make_bundle, serve):
    folder = make_bundle().folder
    (folder / "model.onnx").write_bytes(b"changed")
    with serve() as client:
        response = client.get("/readyz")
        assert (response.status_code, response.json()["status"]) == (503, "not ready")
        assert "model.onnx has 7 bytes" in response.json()["models"][0]["reason"]
        assert client.get("/livez").status_code == 200


def test_a_service_without_any_model_is_not_ready(serve, tmp_path):
    (tmp_path / "models").mkdir()
    with serve() as client:
        response = client.get("/readyz")
        assert (response.status_code, response.json()["models"]) == (503, [])


def test_a_refused_model_beside_the_default_does_not_matter(make_bundle, serve, tmp_path):
    make_bundle()
    other = make_bundle(tmp_path / "models", "other").folder
    (other / "model.onnx").write_bytes(b"changed")
    with serve(default_model="colours") as client:
        assert client.get("/readyz").status_code == 200


def test_a_draining_service_is_not_ready_and_closes_its_connections(fresh, photo):
    assert "connection" not in fresh.get("/readyz").headers
    fresh.app.state.service.lifecycle.draining = True
    response = fresh.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "draining")
    response = fresh.post(CLASSIFY, content=photo("red"))
    assert response.status_code == 200
    assert response.headers["connection"] == "close"


def test_requests_are_counted_by_route_and_status(fresh, photo):
    for content in (photo("red"), photo("blue"), b"text"):
        fresh.post(CLASSIFY, content=content)
    fresh.get("/api/v1/models/colours")
    fresh.get("/api/v1/models/wasps")
    fresh.get("/a/b/c")
    fresh.get("/a/b/d")
    counted = samples(fresh)
    name = "hubel_requests_total"
    assert counted[(name, *sorted(("POST", CLASSIFY, "200", "colours", "1")))] == 2
    assert counted[(name, *sorted(("POST", CLASSIFY, "400", "colours", "1")))] == 1
    assert counted[(name, *sorted(("GET", "/api/v1/models/{name}", "200", "", "")))] == 1
    assert counted[(name, *sorted(("GET", "/api/v1/models/{name}", "404", "", "")))] == 1
    assert counted[(name, *sorted(("GET", "unmatched", "404", "", "")))] == 2
    assert counted["hubel_request_seconds_count", CLASSIFY] == 3
    assert counted["hubel_rejections_total", "not_an_image"] == 1
    assert counted["hubel_rejections_total", "unknown_model"] == 1


def test_images_and_their_stages_are_counted(fresh, photo):
    files = [("file", ("a", data)) for data in (photo("red"), b"text", photo("blue"))]
    fresh.post(CLASSIFY, files=files)
    counted = samples(fresh)
    assert counted["hubel_images_total", "1", "colours"] == 2
    for stage in ("queue", "decode", "resize", "run"):
        assert counted["hubel_stage_seconds_count", *sorted((stage, "colours", "1"))] == 2
    assert counted["hubel_stage_seconds_sum", "1", "colours", "decode"] > 0
    assert counted["hubel_rejections_total", "not_an_image"] == 1


def test_the_queue_is_in_the_metrics(fresh, block):
    with block(fresh) as held:
        before = samples(fresh)
        held.engine.submit(*[lambda turn: None] * 3)
        counted = samples(fresh)
    assert before[("hubel_queue_depth",)] == 0
    assert counted[("hubel_queue_depth",)] == 3
    assert counted[("hubel_queue_capacity",)] == held.engine.capacity
    assert counted[("hubel_held_bytes",)] == 0


def test_the_queue_is_in_the_readiness_and_a_full_one_stays_ready(fresh, block):
    idle = {"waiting": 0, "large": 0, "wait_seconds": 0, "full": False}
    assert fresh.get("/readyz").json()["queue"] == idle
    with block(fresh) as held:
        held.fill()
        response = fresh.get("/readyz")
        assert response.status_code == 200
        queue = response.json()["queue"]
        assert (queue["waiting"], queue["full"]) == (1, True)
        assert queue["wait_seconds"] > 1
        counted = samples(fresh)
        assert counted[("hubel_queue_wait_seconds",)] > 1
        assert counted[("hubel_queue_large_depth",)] == 0
        held.empty()


def test_a_rejected_request_is_counted(fresh, photo, block):
    with block(fresh) as held:
        held.fill()
        assert fresh.post(CLASSIFY, content=photo("red")).status_code == 429
        assert samples(fresh)["hubel_rejections_total", "queue_full"] == 1


def test_an_unreadable_models_folder_is_an_error_before_the_start(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BadParameter, match=r"can't be read .Permission denied.. Let this user"):
        create_service(Settings(models=tmp_path))


def test_the_device_and_the_reason_for_a_fallback_are_shown(make_bundle, serve, caplog):
    caplog.set_level("INFO")
    make_bundle()
    with serve(device="auto") as client:
        note = client.get("/readyz").json()["device_note"]
        assert note.startswith("auto fell back to the CPU: ")
        assert samples(client)["hubel_device", note, "cpu"] == 1
    reason = note.removeprefix("auto fell back to the CPU: ").partition(";")[0]
    assert f"Models run on the CPU: {reason}" in caplog.messages


def test_the_readiness_of_models_is_in_the_metrics(make_bundle, serve, tmp_path):
    make_bundle()
    other = make_bundle(tmp_path / "models", "other").folder
    (other / "model.onnx").write_bytes(b"changed")
    with serve() as client:
        counted = samples(client)
    assert counted[("hubel_model_ready", *sorted(("colours", "1", "fp32")))] == 1
    assert counted[("hubel_model_ready", *sorted(("other", "1", "")))] == 0


def test_the_process_is_in_the_metrics(client):
    assert samples(client)[("process_resident_memory_bytes",)] > 0


def test_a_missing_default_model_is_reported_with_the_reason(make_bundle, serve, caplog):
    make_bundle()
    with serve(default_model="typo") as client:
        response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "not ready"
    assert "no model 'typo'" in response.json()["reason"]
    assert int(response.headers["retry-after"]) >= 1
    assert "get no result: There is no model 'typo'" in caplog.text
