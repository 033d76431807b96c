"""The OpenAPI description of the dialects: tags, examples, and errors in each protocol's format."""

import pytest

from app.main import create_app
from app.settings import Settings

MESSAGE_ONLY = {"error"}
FORMATS = {
    "hugging face": MESSAGE_ONLY,
    "tensorflow serving": MESSAGE_ONLY,
    "torchserve": {"code", "type", "message"},
}


@pytest.fixture(scope="module")
def operations():
    paths = create_app(Settings()).openapi()["paths"]
    return [
        (f"{method} {path}", operation)
        for path, item in paths.items()
        for method, operation in item.items()
        if FORMATS.keys() & set(operation.get("tags", ()))
    ]


def test_every_route_is_documented(operations):
    by_version = [f"/v1/models/{{model}}{part}" for part in ("", "/versions/{version}")]
    assert {name for name, _ in operations} == {
        "post /hf/{model}",
        "get /hf/{model}/health",
        *(f"{verb} /predictions/{{model}}" for verb in ("post", "put")),
        *(f"{verb} /predictions/{{model}}/{{version}}" for verb in ("post", "put")),
        "get /ping",
        *(f"post {path}:{verb}" for path in by_version for verb in ("predict", "classify")),
        *(f"get {path}{part}" for path in by_version for part in ("", "/metadata")),
    }


def test_errors_are_in_the_protocols_shape(operations):
    for name, operation in operations:
        (tag,) = operation["tags"]
        statuses = {s for s in operation["responses"] if s[0] in "45"}
        if name.startswith(("post", "put")):
            rejected = {"400", "401", "404", "408", "413", "415", "422", "429", "500", "503", "504"}
            assert statuses == rejected, name
        for status in statuses - ({"503"} if name == "get /ping" else set()):
            content = operation["responses"][status]["content"]["application/json"]
            assert set(content["schema"]["required"]) == FORMATS[tag]
            for example in content["examples"].values():
                assert set(example["value"]) == FORMATS[tag]


def test_bodies_and_responses_have_examples(operations):
    for name, operation in operations:
        assert operation["summary"]
        if name.startswith(("post", "put")):
            assert operation["requestBody"]["content"]
            assert operation["responses"]["200"]["content"]["application/json"]["example"]
