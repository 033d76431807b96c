"""`hubel serve --engine ray` for real: the service's own responses, a promotion, and the end.

Ray is in an environment of its own, beside that of the tests: its packages are many.
"""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import COLOURS, jpeg

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv" / "ray" / "bin" / "python"
ADMIN = {"Authorization": "Bearer admin"}
pytestmark = [pytest.mark.ray, pytest.mark.e2e, pytest.mark.slow]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this takes too long"
        time.sleep(0.2)


def test_replicas_answer_as_the_service_does_and_follow_a_promotion(make_bundle, tmp_path):
    if not PYTHON.exists():
        pytest.skip("make .venv/.ray installs Ray")
    make_bundle(version=1, sharpness=8.0)
    port = free_port()
    command = [PYTHON, "-m", "hubel", "serve", "--engine", "ray", "--port", port]
    command += ["--replica-cores", 1, "--models", tmp_path / "models"]
    environment = {**os.environ, "HUBEL_ADMIN_KEY": "admin", "PYTHONPATH": str(REPOSITORY)}
    log = tmp_path / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            list(map(str, command)), env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:

        def version() -> int | None:
            try:
                response = client.post("/api/v1/classify", content=jpeg(COLOURS["red"]))
            except httpx.TransportError:
                assert server.poll() is None, log.read_text()
                return None
            if response.status_code != 200:
                return None
            assert response.json()["predictions"][0]["label"] == "red"
            return int(response.json()["version"])

        try:
            wait_for(lambda: version() == 1)
            problem = client.post("/api/v1/classify", content=b"no image").json()
            assert problem["code"] == "not_an_image"
            assert client.get("/readyz").json()["status"] == "ready"
            assert "hubel_images_total" in client.get("/metrics").text
            make_bundle(version=2, folder=tmp_path / "models" / "colours-2", sharpness=6.0)
            reloaded = client.post("/api/v1/models/colours/reload", headers=ADMIN)
            assert reloaded.status_code == 200, reloaded.text
            assert version() == 2
        finally:
            server.send_signal(signal.SIGTERM)
            status = server.wait(60)
    assert status == 0, log.read_text()
