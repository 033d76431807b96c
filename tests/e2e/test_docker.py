"""The real Dockerfile and docker-compose.yml: build, run, and classify a photo."""

import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
PORT = "18765"
LIMIT_MB = 400

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.skipif(
        subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0
        if shutil.which("docker")
        else True,
        reason="no Docker engine answers",
    ),
]


def run(*command: str) -> str:
    environment = {**os.environ, "HUBEL_PORT": PORT, "COMPOSE_PROJECT_NAME": "hubel-test"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def container(tmp_path_factory):
    """The id of the running, healthy container; on a slow machine its requests may wait long."""
    patient = tmp_path_factory.mktemp("compose") / "patient.yml"
    patient.write_text(
        "services: {hubel: {environment: {HUBEL_QUEUE_WAIT_S: '30', HUBEL_DEADLINE_S: '60'}}}\n"
    )
    files = ("-f", "docker-compose.yml", "-f", str(patient))
    run(*COMPOSE, *files, "up", "--detach", "--build")
    try:
        name = run(*COMPOSE, "ps", "-q", "hubel").strip()
        for _ in range(1500):
            state = json.loads(run("docker", "inspect", "--format", "{{json .State}}", name))
            if state["Health"]["Status"] == "healthy":
                break
            time.sleep(0.2)
        else:
            pytest.fail(f"not healthy: {state}\n{run('docker', 'logs', name)}")
        yield name
    finally:
        run(*COMPOSE, "down", "--volumes")


@pytest.fixture
def client():
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=120) as client:
        yield client


def test_a_photo_is_classified_through_the_container(container, client, cat_photo):
    response = client.post("/api/v1/classify", content=cat_photo)
    assert response.status_code == 200
    assert response.json()["predictions"][0]["label"] == "Egyptian cat"


def test_a_photo_is_explained_through_the_container(container, client, cat_photo):
    response = client.post("/api/v1/explain", content=cat_photo)
    assert (response.status_code, response.json()["label"]) == (200, "Egyptian cat")
    assert client.get("/api/v1/models/imagenet/filters.png").status_code == 200


def test_the_image_is_small_and_has_no_compiler_no_torch_and_no_pip(container):
    size = int(run("docker", "image", "inspect", "--format", "{{.Size}}", "hubel"))
    assert size < LIMIT_MB * 1_000_000
    tools = "gcc cc make pip pip3"
    script = f"for tool in {tools}; do command -v $tool; done; python -m pip --version; "
    script += "/opt/hubel/bin/python -c 'import torch'; echo end"
    assert run("docker", "exec", container, "sh", "-c", script).strip() == "end"


def test_it_runs_as_any_user_on_a_read_only_file_system(container):
    assert run("docker", "exec", container, "id", "-u").strip() == "10001"
    script = "touch /srv/hubel/x /opt/hubel/x /models/x /x 2>/dev/null || echo refused"
    assert run("docker", "exec", container, "sh", "-c", script).strip() == "refused"
    host = json.loads(run("docker", "inspect", "--format", "{{json .HostConfig}}", container))
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["Memory"] == 1024**3
    assert host["NanoCpus"] == 2_000_000_000


def test_the_serving_image_says_which_image_trains(container):
    text = run("docker", "exec", container, "hubel", "--help")
    assert "\n  serve " in text
    assert "\n  train " not in text
    assert "docker compose run --rm train" in " ".join(text.split())


def test_the_image_that_trains_writes_as_the_owner_of_the_models_folder(tmp_path, blob):
    photos, models = tmp_path / "photos", tmp_path / "models"
    for start, hue in enumerate(("red", "green")):
        (photos / hue).mkdir(parents=True)
        for number in range(14):
            (photos / hue / f"{number}.jpg").write_bytes(blob(hue, 100 * start + number))
    models.mkdir()
    os.chown(models, 4321, 4321)
    for folder in (tmp_path, photos, *photos.iterdir()):
        folder.chmod(0o755)
    run("docker", "build", "--quiet", "--tag", "hubel:train", "--target", "train", ".")
    mounts = ("--volume", f"{photos}:/photos:ro", "--volume", f"{models}:/models")
    restricted = ("--cap-drop", "ALL", "--cap-add", "SETUID", "--cap-add", "SETGID", "--read-only")
    image = ("docker", "run", "--rm", "--tmpfs", "/tmp", *restricted, *mounts, "hubel:train")
    run(*image, "train", "/photos", "--output", "/models/hues")
    files = [path for path in models.rglob("*") if path.is_file()]
    assert models / "hues" / "bundle.json" in files
    assert {path.stat().st_uid for path in files} == {4321}
    assert "passed" in run(*image, "check", "/models/hues")


def test_docker_stop_under_load_loses_no_request(container, load):
    stopper = threading.Thread(target=run, args=("docker", "stop", "--time", "30", container))

    def stop_at_half(number: int) -> None:
        if number == 100:
            stopper.start()

    statuses = load(int(PORT), 200, stop_at_half)
    stopper.join()
    assert statuses == {"200": 200}
    state = json.loads(run("docker", "inspect", "--format", "{{json .State}}", container))
    assert state["ExitCode"] == 0
