"""The Kubernetes resources fit their schemas, each other, and the service.

kustomization -> kustomize.py -> resources -> schemas/kinds.json
                                           -> selectors, ports, volumes; paths and settings of Hubel
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from app.cli.ineffective_variables import unknown_variables
from app.server import draining
from app.settings import Settings
from tests.deploy.kustomize import Resource, build, containers

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
SCHEMAS = json.loads((Path(__file__).parent / "schemas" / "kinds.json").read_text())
FOLDERS = ("kubernetes/base", "kubernetes/example", "kserve")


TLS = "  - ../components/tls\n  - ../components/service-monitor-tls\n"


def example_with(component: str, tmp_path: Path) -> Path:
    """Return the example with another component for the models, or with those for TLS."""
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    file = tmp_path / "kubernetes" / "example" / "kustomization.yaml"
    text = file.read_text()
    if component == "tls":
        file.write_text(text.replace("images:", f"{TLS}images:"))
    else:
        file.write_text(text.replace("models-claim", component))
    return file.parent


@pytest.fixture(scope="module", params=[*FOLDERS, "models-image", "models-s3", "tls"])
def resources(request, tmp_path_factory) -> list[Resource]:
    if request.param in FOLDERS:
        return build(DEPLOY / request.param)
    return build(example_with(request.param, tmp_path_factory.mktemp("example")))


@pytest.fixture(scope="module")
def example() -> dict[str, Resource]:
    return {each["kind"]: each for each in build(KUBERNETES / "example")}


def problems(resource: Resource) -> list[str]:
    """Return what the schema of a resource's kind says against it."""
    kind = SCHEMAS["kinds"][f"{resource['apiVersion']} {resource['kind']}"]
    validator = jsonschema_rs.Draft202012Validator({**kind, "$defs": SCHEMAS["$defs"]})
    return [
        f"{list(each.instance_path)}: {each.message}" for each in validator.iter_errors(resource)
    ]


def test_resources_fit_their_schemas(resources):
    found = {(each["kind"], each["metadata"]["name"]): problems(each) for each in resources}
    assert {kind: each for kind, each in found.items() if each} == {}
    assert len(found) == len(resources), "a resource occurs twice"


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("Deployment", lambda spec: spec["template"]["spec"].update(terminationGracePeriod=9)),
        ("Service", lambda spec: spec["ports"][0].update(port="http")),
        ("HorizontalPodAutoscaler", lambda spec: spec.pop("maxReplicas")),
        ("ServiceMonitor", lambda spec: spec["endpoints"][0].update(intervall="15s")),
    ],
    ids=["unknown field", "wrong type", "missing field", "unknown field of another API"],
)
def test_the_schemas_find_mistakes(kind, change):
    (broken,) = (each for each in build(KUBERNETES / "example") if each["kind"] == kind)
    change(broken["spec"])
    assert len(problems(broken)) >= 1


@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize_reads_the_same(folder):
    if shutil.which("kubectl") is None:
        return  # the reader alone has to do
    command = ["kubectl", "kustomize", str(DEPLOY / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    text = re.sub(r"(hubel-settings)-\w+", r"\1", done.stdout)
    assert sorted(map(canonical, yaml.safe_load_all(text))) == sorted(
        map(canonical, build(DEPLOY / folder))
    )


def canonical(value: object) -> str:
    """Return JSON in which the order of lists has no meaning."""
    if isinstance(value, dict):
        return json.dumps({key: canonical(each) for key, each in sorted(value.items())})
    return json.dumps(sorted(map(canonical, value)) if isinstance(value, list) else value)


def test_selectors_choose_the_pods_and_references_exist(example):
    deployment = example["Deployment"]
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    monitor = example["ServiceMonitor"]["spec"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert example["Service"]["spec"]["selector"] == labels
    assert example["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert example["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert monitor["selector"]["matchLabels"] == example["Service"]["metadata"]["labels"]
    assert monitor["endpoints"][0]["port"] == example["Service"]["spec"]["ports"][0]["name"]
    target = example["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    (container,) = pod["spec"]["containers"]
    (source,) = container["envFrom"]
    assert source["configMapRef"]["name"] == example["ConfigMap"]["metadata"]["name"]
    claims = [
        v["persistentVolumeClaim"] for v in pod["spec"]["volumes"] if "persistentVolumeClaim" in v
    ]
    assert [claim["claimName"] for claim in claims] == [
        example["PersistentVolumeClaim"]["metadata"]["name"]
    ]


def test_probes_ports_and_mounts_are_those_of_the_container(resources):
    paths = json.loads((REPOSITORY / "tests/api/openapi.json").read_text())["paths"]
    for resource in resources:
        spec = resource.get("spec", {})
        pod = spec.get("template", {}).get("spec", spec)
        for container in containers(resource):
            ports = {each["name"]: each["containerPort"] for each in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                get = container[probe]["httpGet"]
                assert get["path"] in paths
                assert get["port"] in {*ports, *ports.values()}
            mounts = {each["name"] for each in container["volumeMounts"]}
            assert mounts == {each["name"] for each in pod["volumes"]}


def test_with_tls_probes_and_prometheus_use_it(tmp_path):
    by_kind = {each["kind"]: each for each in build(example_with("tls", tmp_path))}
    (container,) = containers(by_kind["Deployment"])
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert {probe["scheme"] for probe in probes} == {"HTTPS"}
    (endpoint,) = by_kind["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["scheme"] == "https"
    names = {each["name"] for each in by_kind["Deployment"]["spec"]["template"]["spec"]["volumes"]}
    assert names == {"tmp", "models", "keys", "tls"}


def test_settings_exist_and_fit_the_ports(resources):
    settings = {
        name: value
        for each in resources
        if each["kind"] == "ConfigMap"
        for name, value in each["data"].items()
    }
    for resource in resources:
        for container in containers(resource):
            own = {each["name"]: each["value"] for each in container.get("env", [])}
            environment = {**settings, **own}
            assert unknown_variables(environment) == []
            values = {name.removeprefix("HUBEL_").lower(): v for name, v in environment.items()}
            mounted = {each["mountPath"] for each in container["volumeMounts"]}
            models = values.pop("models", "/tmp")
            if models.startswith("s3://"):
                values["models"], models = models, values["models_cache"]
            assert models in mounted
            assert str(Path(values.pop("keys_file", "/tmp/keys.json")).parent) in mounted
            checked = Settings(**values)
            options = container.get("args", [])
            port = int(options[options.index("--port") + 1]) if options else checked.port
            assert port == container["ports"][0]["containerPort"]
            assert "0.0.0.0" in {checked.host, *options}


def test_a_pod_is_given_the_time_to_drain(example):
    pod = example["Deployment"]["spec"]["template"]["spec"]
    waits = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drains = float(example["ConfigMap"]["data"]["HUBEL_DRAIN_S"])
    needed = waits + drains + draining._LINGER_S + draining._GRACE_S + draining._DROP_S
    assert pod["terminationGracePeriodSeconds"] > needed


def test_containers_are_locked_down(resources):
    for resource in resources:
        for container in containers(resource):
            pod = resource["spec"].get("template", resource)["spec"]
            security = {**pod.get("securityContext", {}), **container["securityContext"]}
            assert security["runAsNonRoot"] is True
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_the_autoscalers_metric_is_one_of_the_service_by_the_adapter(example, client):
    (pods, _) = example["HorizontalPodAutoscaler"]["spec"]["metrics"]
    name = pods["pods"]["metric"]["name"]
    values = yaml.safe_load((KUBERNETES / "prometheus-adapter" / "values.yaml").read_text())
    (rule,) = values["rules"]["custom"]
    assert rule["name"]["as"] == name
    assert rule["seriesQuery"].startswith(name + "{")
    assert f"# TYPE {name} gauge" in client.get("/metrics").text


def test_kserve_connects_the_runtime_and_the_bundle():
    runtime, service = (each["spec"] for each in build(DEPLOY / "kserve"))
    model = service["predictor"]["model"]
    (supported,) = runtime["supportedModelFormats"]
    assert model["modelFormat"] == {key: supported[key] for key in ("name", "version")}
    assert model["protocolVersion"] in runtime["protocolVersions"]
    folder = Path(runtime["containers"][0]["args"][2])
    assert folder / "models" == Path("/mnt/models"), "where KServe copies the bundle"
