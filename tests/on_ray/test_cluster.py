"""`--engine ray` for real: the service's own responses, a promotion, and the end; the same rows.

Ray is in an environment of its own, beside that of the tests: its packages are many.
"""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
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


def test_workers_write_the_rows_that_this_process_writes_and_go_on_where_a_run_ended(
    make_bundle, tmp_path
):
    if not PYTHON.exists():
        pytest.skip("make .venv/.ray installs Ray")
    make_bundle(version=1, sharpness=8.0)
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        for number in range(300):  # more results than a worker hands over at once
            data = jpeg(COLOURS["red" if number % 2 else "green"])
            info = tarfile.TarInfo(f"{number:03}.jpg")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "red.jpg").write_bytes(jpeg(COLOURS["red"]))
    (photos / "broken.jpg").write_bytes(jpeg(COLOURS["red"])[:200])
    (photos / "readme.txt").write_text("no photo")

    def rows(python: Path | str, output: str, *options: str) -> list[str]:
        command = [str(python), "-m", "hubel", "classify", "photos", "shard.tar", *options]
        command += ["--models", "models", "--model", "colours", "--output", output]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        run = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 1, run.stderr  # a photo is broken
        assert "1 of 302 photos have no result" in run.stderr
        assert "photos/readme.txt" in run.stderr
        parts = sorted((tmp_path / output).glob("part-*"))
        return [line for part in parts for line in part.read_text().splitlines()]

    expected = rows(sys.executable, "threads")
    assert len(expected) == 302
    shutil.copytree(tmp_path / "threads", tmp_path / "ray")
    (tmp_path / "ray" / "part-000001.jsonl").unlink()
    assert (
        rows(PYTHON, "ray", "--engine", "ray", "--workers", "1", "--worker-cores", "1") == expected
    )


def test_the_error_of_a_worker_is_that_of_the_command(tmp_path):
    if not PYTHON.exists():
        pytest.skip("make .venv/.ray installs Ray")
    script = """
from app.errors import BadParameter
from app.on_ray.data_map import Workers, map_in_order, started_ray
from tests.on_ray.workers import FailingWorker, RefusingNode

with started_ray():
    for make in (RefusingNode(), FailingWorker()):
        try:
            print(list(map_in_order(make, ["first", "second"], Workers(1, 1, 1))))
        except BadParameter as err:
            print(f"BadParameter: {err}")
"""
    run = subprocess.run(
        [str(PYTHON), "-c", script],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.splitlines() == [
        "BadParameter: This node has no model.",
        "BadParameter: This node has no second.",
    ], run.stderr
