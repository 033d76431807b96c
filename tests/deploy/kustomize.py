"""A reader of the kustomizations in deploy/: resources, components, patches, settings, images.

kustomize itself is a program to download, which tests can't. It understands more than this; a field
that this reader doesn't know is an error.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

MERGE_KEYS = {"containers": "name", "volumes": "name", "env": "name", "volumeMounts": "mountPath"}
"""Lists that a strategic merge patch merges by a key; it replaces others."""
KNOWN = {"apiVersion", "kind", "namespace", "resources", "components", "patches", "images"}
KNOWN |= {"configMapGenerator"}
Resource = dict[str, Any]


def build(folder: Path) -> list[Resource]:
    """Return the resources of a kustomization."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    assert set(kustomization) <= KNOWN, f"{folder}: {set(kustomization) - KNOWN}"
    return _apply(kustomization, folder, [])


def _apply(kustomization: Resource, folder: Path, below: list[Resource]) -> list[Resource]:
    resources = [*below]
    for path in kustomization.get("resources", []):
        inner = folder / path
        resources += build(inner) if inner.is_dir() else yaml.safe_load_all(inner.read_text())
    for generator in kustomization.get("configMapGenerator", []):
        resources.append(_config_map(generator, folder))
    for patch in kustomization.get("patches", []):
        _patch(resources, yaml.safe_load((folder / patch["path"]).read_text()))
    for path in kustomization.get("components", []):
        inner = folder / path
        component = yaml.safe_load((inner / "kustomization.yaml").read_text())
        assert component["kind"] == "Component"
        resources = _apply(component, inner, resources)
    for resource in resources:
        if "namespace" in kustomization:
            resource["metadata"]["namespace"] = kustomization["namespace"]
        for container in containers(resource):
            for image in kustomization.get("images", []):
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
    return resources


def containers(resource: Resource) -> Iterator[dict[str, Any]]:
    """Yield the containers of a resource: of a Deployment, or of a ServingRuntime."""
    spec = resource.get("spec", {})
    yield from spec.get("template", {}).get("spec", {}).get("containers", [])
    yield from spec.get("containers", [])


def _config_map(generator: dict[str, Any], folder: Path) -> Resource:
    lines = [
        line
        for file in generator["envs"]
        for line in (folder / file).read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    data = dict(line.split("=", 1) for line in lines)
    metadata = {"name": generator["name"]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _patch(resources: list[Resource], patch: Resource) -> None:
    (target,) = (
        each
        for each in resources
        if each["kind"] == patch["kind"] and each["metadata"]["name"] == patch["metadata"]["name"]
    )
    _merge(target, patch)


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for field, value in patch.items():
        if isinstance(value, dict) and isinstance(target.get(field), dict):
            _merge(target[field], value)
        elif field in MERGE_KEYS and isinstance(target.get(field), list):
            key = MERGE_KEYS[field]
            by_key = {each[key]: each for each in target[field]}
            for each in value:
                if each[key] in by_key:
                    _merge(by_key[each[key]], each)
                else:
                    target[field].append(each)
        else:
            target[field] = value
