"""`hubel health`: the status of the service on this machine."""

import json
import socket


def test_health_fails_without_a_service(assert_error, process):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert_error(process("health", HUBEL_PORT=str(port)), 1, "is not ready")


def test_health_prints_the_status_of_the_service(client, monkeypatch, hubel):
    monkeypatch.setenv("HUBEL_PORT", str(client.base_url.port))
    result = hubel("health")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["status"] == "ready"
