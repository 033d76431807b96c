"""The OpenAPI document is valid, complete and equal to its snapshot."""

import json
from pathlib import Path

import pytest

from app.api.problems import MEDIA_TYPE
from app.main import create_app
from app.settings import Settings

SNAPSHOT = Path(__file__).with_name("openapi.json")
KEYED = ("/api/", "/v2/models", "/v2/repository", "/hf/", "/predictions/", "/v1/")
METHODS = {"get", "post", "put", "delete", "patch", "head", "options", "trace"}
RENEW = (
    "The OpenAPI document has changed. If this is intended, note it in CHANGELOG.md and renew the "
    'snapshot:\n    .venv/bin/python -c "import json; from app.main import create_app; from '
    'app.settings import Settings; print(json.dumps(create_app(Settings()).openapi(), indent=1))"'
    " > tests/api/openapi.json"
)


@pytest.fixture(scope="module")
def document():
    return json.loads(json.dumps(create_app(Settings()).openapi()))


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield method, path, item[method]


def find_all(value, key):
    """Yield all values of `key` at any depth."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        for inner in value.values():
            yield from find_all(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from find_all(inner, key)


def test_it_equals_the_snapshot(document):
    assert document == json.loads(SNAPSHOT.read_text()), RENEW


def test_it_is_openapi_3_1(document):
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"] == "Hubel"
    assert document["info"]["version"]
    for _, _, operation in operations(document):
        assert operation["responses"]
        for parameter in operation.get("parameters", []):
            assert parameter["in"] in {"query", "path", "header"}
            assert parameter["name"]
            assert "schema" in parameter
            assert parameter["in"] != "path" or parameter["required"] is True
        for response in operation["responses"].values():
            assert response["description"]


def test_operation_ids_are_unique(document):
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)


def test_path_parameters_are_those_of_the_path(document):
    import re

    for _, path, operation in operations(document):
        declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path))


def test_every_reference_resolves(document):
    references = list(find_all(document, "$ref"))
    assert references
    for reference in references:
        root, *keys = reference.split("/")
        assert root == "#"
        part = document
        for key in keys:
            part = part[key]


def test_every_schema_is_referred_to(document):
    referenced = {reference.rpartition("/")[2] for reference in find_all(document, "$ref")}
    assert set(document["components"]["schemas"]) == referenced


def can_be_invalid(operation):
    """Return whether a parameter or a body may be wrong; names may be any text."""
    parameters = operation.get("parameters", [])
    return "requestBody" in operation or any(
        each["in"] == "query" or each["schema"]["type"] != "string" for each in parameters
    )


def test_every_route_of_the_api_documents_its_problems(document):
    for _, path, operation in operations(document):
        if path.startswith("/api/"):
            problems = {s: r for s, r in operation["responses"].items() if s[0] in "45"}
            assert "401" in problems
            assert ("400" in problems) == can_be_invalid(operation), path
            for status, response in problems.items():
                content = response["content"][MEDIA_TYPE]
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                for code, example in content["examples"].items():
                    assert (example["value"]["code"], str(example["value"]["status"])) == (
                        code,
                        status,
                    )


def test_only_probes_and_metrics_require_no_key(document):
    schemes = document["components"]["securitySchemes"]
    for _, path, operation in operations(document):
        required = [name for scheme in operation.get("security", []) for name in scheme]
        is_keyed = path.startswith(KEYED) or path == "/v2"
        assert required == (list(schemes) if is_keyed else [])


def test_a_body_can_be_raw_or_multipart(document):
    content = document["paths"]["/api/v1/classify"]["post"]["requestBody"]["content"]
    assert {"image/jpeg", "application/octet-stream", "multipart/form-data"} <= content.keys()


def test_the_service_returns_this_document(client, document):
    assert client.get("/openapi.json").json() == document
