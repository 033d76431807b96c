"""Write kinds.json: the schemas of the kinds that deploy/ uses, without their descriptions.

    pip download --no-deps kubernetes-validate==1.37.0 kserve==0.21.0
    npm pack @kubernetes-models/prometheus-operator@6.0.0
    python tests/deploy/schemas/trim.py FOLDER       where the three were unpacked

Kubernetes's own kinds: JSON schemas of Kubernetes 1.35, which kubernetes-validate carries
(Apache-2.0). KServe's: the generated models of its Python client (Apache-2.0). ServiceMonitor: the
TypeScript types of @kubernetes-models/prometheus-operator (MIT). RayService: the fields of
KubeRay's API ray.io/v1, written down here, since no package has them; its pods are Kubernetes's.
Unknown fields are refused in all.
"""

import argparse
import ast
import json
import re
from pathlib import Path
from typing import Any

KUBERNETES = "1.35.0"
KINDS = {
    "v1 ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "v1 PersistentVolumeClaim": "io.k8s.api.core.v1.PersistentVolumeClaim",
    "v1 Service": "io.k8s.api.core.v1.Service",
    "apps/v1 Deployment": "io.k8s.api.apps.v1.Deployment",
    "autoscaling/v2 HorizontalPodAutoscaler": "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    "networking.k8s.io/v1 NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
    "policy/v1 PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget",
    "serving.kserve.io/v1alpha1 ServingRuntime": "V1alpha1ServingRuntime",
    "serving.kserve.io/v1beta1 InferenceService": "V1beta1InferenceService",
    "monitoring.coreos.com/v1 ServiceMonitor": "ServiceMonitor",
}
FIELD = re.compile(r'^    "(\w+)"(\??): (.*?);?$', re.M)
SIMPLE = {"str": "string", "int": "integer", "bool": "boolean", "float": "number"}
Schema = dict[str, Any]


def strict(properties: dict[str, Schema], required: list[str] | None = None) -> Schema:
    """Return the schema of an object with these properties and no others."""
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def ray_service(template: Schema, metadata: Schema) -> Schema:
    """Return the schema of a RayService, by the schemas of a pod's template and of metadata."""
    text, number, flag = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
    parameters = {"type": "object", "additionalProperties": text}
    group = {"rayStartParams": parameters, "template": template}
    head = {**group, "serviceType": text, "headService": {}, "enableIngress": flag}
    workers = {"groupName": text, "replicas": number, "minReplicas": number, "maxReplicas": number}
    workers |= {"numOfHosts": number, "idleTimeoutSeconds": number, "suspend": flag}
    autoscaler = {"idleTimeoutSeconds": number, "upscalingMode": text, "version": text}
    autoscaler |= {"resources": {}, "image": text, "imagePullPolicy": text, "securityContext": {}}
    lists: dict[str, Schema] = {
        each: {"type": "array"} for each in ("env", "envFrom", "volumeMounts")
    }
    cluster = {
        "rayVersion": text,
        "enableInTreeAutoscaling": flag,
        "suspend": flag,
        "autoscalerOptions": strict({**autoscaler, **lists}),
        "gcsFaultToleranceOptions": {"type": "object"},
        "headServiceAnnotations": parameters,
        "headGroupSpec": strict(head, ["template"]),
        "workerGroupSpecs": {
            "type": "array",
            "items": strict(
                {**workers, **group, "scaleStrategy": {}},
                ["groupName", "minReplicas", "maxReplicas", "template"],
            ),
        },
    }
    spec = {
        "serveConfigV2": text,
        "rayClusterConfig": strict(cluster, ["headGroupSpec"]),
        "serveService": {"type": "object"},
        "upgradeStrategy": {"type": "object"},
        "rayClusterDeletionDelaySeconds": number,
        "excludeHeadPodFromServeSvc": flag,
    }
    properties = {"apiVersion": text, "kind": text, "metadata": metadata, "spec": strict(spec)}
    return strict(properties, ["metadata", "spec"])


class Definitions:
    """All definitions by name; those that are referred to are kept."""

    def __init__(self, folder: Path) -> None:
        (file,) = folder.rglob(f"v{KUBERNETES}-local-strict/_definitions.json")
        self.kubernetes = json.loads(file.read_text())["$defs"]
        self.by_class = {
            "V" + name.rpartition(".v")[2].replace(".", ""): name
            for name in self.kubernetes
            if name.startswith("io.k8s.api.core.v1.")
        } | {"V1ObjectMeta": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
        (self.kserve,) = folder.rglob("kserve/models")
        (self.monitors,) = folder.rglob("monitoring.coreos.com/v1")
        self.kept: dict[str, Schema] = {}

    def refer(self, name: str) -> Schema:
        """Return a reference to a definition, which is kept with all that it refers to."""
        name = self.by_class.get(name, name)
        if name not in self.kept:
            self.kept[name] = {}
            self.kept[name] = self._definition(name)
        return {"$ref": f"#/$defs/{name}"}

    def _definition(self, name: str) -> Schema:
        if name in self.kubernetes:
            return self._trimmed(self.kubernetes[name])
        if re.match(r"V\d", name):
            return self._kserve(name)
        return self._monitor(name)

    def _trimmed(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self._trimmed(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            return self.refer(schema["$ref"].rpartition("/")[2])
        return {
            key: {name: self._trimmed(each) for name, each in value.items()}
            if key == "properties"
            else self._trimmed(value)
            for key, value in schema.items()
            if not (key == "description" or key.startswith("x-"))
        }

    def _kserve(self, name: str) -> Schema:
        """Return the schema of a model of the client: its two tables, and what it requires."""
        file = self.kserve / (re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() + ".py")
        if not file.exists():  # a model whose file's name has more underscores
            names = {each.stem.replace("_", ""): each for each in self.kserve.glob("v*.py")}
            file = names.get(name.lower(), file)
        if not file.exists():
            return {}  # a type of another library, such as knative's
        code = file.read_text()
        tables = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in ast.walk(ast.parse(code))
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id in {"openapi_types", "attribute_map"}
        }
        names = tables["attribute_map"]
        required = re.findall(r"Invalid value for `(\w+)`, must not be `None`", code)
        types = {names[key]: self._type(kind) for key, kind in tables["openapi_types"].items()}
        return strict(types, sorted({names[key] for key in required}))

    def _type(self, kind: str) -> Schema:
        if kind in SIMPLE:
            return {"type": SIMPLE[kind]}
        if found := re.fullmatch(r"list\[(.*)\]", kind):
            return {"type": "array", "items": self._type(found[1])}
        if found := re.fullmatch(r"dict\(str, (.*)\)", kind):
            return {"type": "object", "additionalProperties": self._type(found[1])}
        return {} if kind in {"object", "datetime"} else self.refer(kind)

    def _monitor(self, name: str) -> Schema:
        """Return the schema of an interface: its names, and types where they are simple."""
        file = self.monitors / f"{name}.d.ts"
        if not file.exists():
            return {}
        text = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.S)
        if found := re.search(rf"export type I{name} = (.*);", text):
            return self._typescript(found[1])
        interface = re.search(rf"export interface I\w*{name}\b([^{{]*){{(.*?)\n}}", text, re.S)
        if interface is None:
            return {}
        properties: dict[str, Schema] = {}
        required: list[str] = []
        if base := re.search(r"extends I\w+MonitoringV1(\w+)", interface[1]):
            inherited = self._monitor(base[1])
            properties, required = inherited["properties"], inherited.get("required", [])
        for field, optional, kind in FIELD.findall(interface[2]):
            properties[field] = self._typescript(kind)
            required += [] if optional else [field]
        return strict(properties, required)

    def _typescript(self, kind: str) -> Schema:
        if found := re.fullmatch(r"Array<(.*)>", kind):
            return {"type": "array", "items": self._typescript(found[1])}
        if found := re.fullmatch(r"I\w+MonitoringV1(\w+)", kind):
            return self.refer(found[1])
        if found := re.fullmatch(r"IIoK8sApimachineryPkgApisMetaV1(\w+)", kind):
            return self.refer(f"io.k8s.apimachinery.pkg.apis.meta.v1.{found[1]}")
        if found := re.fullmatch(r"IIoK8sApiCoreV1(\w+)", kind):
            return self.refer(f"io.k8s.api.core.v1.{found[1]}")
        if re.fullmatch(r'"[^"]*"', kind):
            return {"const": json.loads(kind)}
        return {"type": kind} if kind in {"string", "number", "boolean"} else {}


def main() -> None:
    """Write kinds.json beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    definitions = Definitions(parser.parse_args().folder)
    kinds = {kind: definitions.refer(name) for kind, name in KINDS.items()}
    template = definitions.refer("io.k8s.api.core.v1.PodTemplateSpec")
    kinds["ray.io/v1 RayService"] = ray_service(template, definitions.refer("V1ObjectMeta"))
    written = {"$defs": definitions.kept, "kinds": kinds}
    file = Path(__file__).parent / "kinds.json"
    file.write_text(json.dumps(written, sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
