"""The compose files: mounted files exist, Prometheus finds the service, the GPU file combines."""

import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]


def read(name: str) -> dict:
    return yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8"))


def test_the_monitoring_profile_mounts_files_that_exist():
    services = read("docker-compose.yml")["services"]
    monitoring = [each for each in services.values() if each.get("profiles") == ["monitoring"]]
    sources = [mount.split(":")[0] for each in monitoring for mount in each["volumes"]]
    files = [source for source in sources if source.startswith("./")]
    assert len(files) == 4
    assert [file for file in files if not (REPOSITORY / file).exists()] == []


def test_prometheus_and_grafana_find_their_sources_by_the_names_of_the_services():
    services = read("docker-compose.yml")["services"]
    (job,) = read("deploy/monitoring/prometheus.yml")["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    name, _, port = target.partition(":")
    assert services[name]["environment"]["HUBEL_PORT"] == port
    folder = "deploy/monitoring/grafana/provisioning"
    (source,) = read(f"{folder}/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services


def test_the_teach_profile_may_write_models_and_photos_and_gets_the_keys():
    compose = read("docker-compose.yml")
    teach, serve = compose["services"]["teach"], compose["services"]["hubel"]
    assert (teach["profiles"], teach["command"]) == (["teach"], "serve")
    assert teach["build"]["target"] == "train"
    assert teach["volumes"] == ["./models:/models", "data:/data"]
    assert "data" in compose["volumes"]
    assert teach["env_file"] == "hubel.env"
    environment = {**teach["environment"]}
    assert environment.pop("HUBEL_DATA_DIR") == "/data"
    assert environment == serve["environment"]
    assert not set(teach["ports"]) & set(serve["ports"])
    assert teach["read_only"] is True


@pytest.mark.skipif(shutil.which(COMMAND[0]) is None, reason="Docker is missing")
def test_the_file_for_gpus_changes_the_service(tmp_path):
    shutil.copytree(REPOSITORY / "deploy", tmp_path / "deploy")
    for name in ("docker-compose.yml", "hubel.env"):
        shutil.copy(REPOSITORY / name, tmp_path)
    files = ("-f", "docker-compose.yml", "-f", "deploy/docker-compose.gpu.yml")
    done = subprocess.run(
        [*COMMAND, *files, "config"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    service = yaml.safe_load(done.stdout)["services"]["hubel"]
    assert service["build"]["args"] == {"DEVICE": "gpu"}
    assert service["environment"]["HUBEL_DEVICE"] == "cuda"
    assert service["read_only"] is True
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_docker_gets_all_files_that_the_dockerfile_copies():
    allowed = [
        line.removeprefix("!")
        for line in (REPOSITORY / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    copied = [
        source.replace("${DEVICE}", "cpu")
        for line in (REPOSITORY / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    assert "requirements/ray.txt" in copied
    missing = [
        source
        for source in copied
        if not any(
            fnmatch(source, pattern) or source.startswith(f"{pattern}/") for pattern in allowed
        )
    ]
    assert missing == []
    assert [source for source in copied if not (REPOSITORY / source).exists()] == []
