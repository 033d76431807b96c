"""The resources for Ray fit their schemas, each other, and Hubel's settings and variables."""

import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from app.on_ray import environment, replica
from app.on_ray.start import AUTOSCALING
from tests.deploy.test_kubernetes import problems

RAY = Path(__file__).resolve().parents[2] / "deploy" / "ray"


@pytest.fixture(scope="module")
def service():
    return yaml.safe_load((RAY / "ray-service.yaml").read_text())


@pytest.fixture(scope="module")
def config():
    return yaml.safe_load((RAY / "serve-config.yaml").read_text())


def groups(service):
    cluster = service["spec"]["rayClusterConfig"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_the_ray_service_fits_its_schema(service):
    assert problems(service) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(serveConfig=""),
        lambda spec: spec["rayClusterConfig"].pop("headGroupSpec"),
        lambda spec: spec["rayClusterConfig"]["workerGroupSpecs"][0].update(replicas="2"),
        lambda spec: groups({"spec": spec})[0]["template"]["spec"].update(container=[]),
    ],
    ids=["unknown field", "missing field", "wrong type", "unknown field of a pod"],
)
def test_the_schema_finds_mistakes(change):
    broken = yaml.safe_load((RAY / "ray-service.yaml").read_text())
    change(broken["spec"])
    assert problems(broken)


def test_the_config_fits_the_schema_which_finds_mistakes(config):
    schema = json.loads((Path(__file__).parent / "schemas" / "serve_config.json").read_text())
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert [each.message for each in validator.iter_errors(config)] == []
    config = yaml.safe_load((RAY / "serve-config.yaml").read_text())
    config["applications"][0]["deployments"][0]["max_replicas"] = 1
    assert len(list(validator.iter_errors(config))) == 1


def test_every_node_has_the_variables(service):
    lines = (RAY / "node.env").read_text().splitlines()
    pairs = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert pairs == environment.VARIABLES
    for group in groups(service):
        (container,) = group["template"]["spec"]["containers"]
        assert {each["name"]: each["value"] for each in container["env"]} == {
            "HOME": "/tmp",
            **environment.VARIABLES,
        }


def test_the_service_has_the_config_whose_settings_exist(service, config):
    applications = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    assert applications == config["applications"]
    (application,) = applications
    (deployment,) = application["deployments"]
    settings = {**application["args"], "models": "/tmp"}
    assert replica.read_settings(settings).log_format == "json"
    scaling = deployment["autoscaling_config"]
    assert {name: scaling[name] for name in AUTOSCALING} == AUTOSCALING
    (workers,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert workers["minReplicas"] == scaling["min_replicas"]
    assert workers["maxReplicas"] == scaling["max_replicas"]


def test_pods_are_locked_down_and_mount_the_models(service):
    for group in groups(service):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert [each["mountPath"] for each in container["volumeMounts"]] == ["/models"]
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
