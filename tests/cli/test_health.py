"""`hubel health`: the status of the service on this machine."""

import json

from benchmarks.serving.process import free_port


def test_health_fails_without_a_service(assert_error, process):
    assert_error(process("health", HUBEL_PORT=str(free_port())), 1, "is not ready")


def test_health_prints_the_status_of_the_service(client, monkeypatch, hubel):
    monkeypatch.setenv("HUBEL_PORT", str(client.base_url.port))
    result = hubel("health")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["status"] == "ready"
