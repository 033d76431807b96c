"""Methods and paths: HEAD, Allow and trailing slashes."""

import pytest

from app.api.routing import allowed_methods
from app.main import create_app
from app.settings import Settings

MODEL = "/v1/models/colours"


@pytest.fixture(scope="module")
def get_paths():
    paths = create_app(Settings()).openapi()["paths"]
    return [path for path, operations in paths.items() if "get" in operations]


VALUES = {"name": "textbook", "model": "textbook", "version": "1", "id": "1"}


def test_head_has_the_status_and_headers_of_get_everywhere(textbook_client, get_paths):
    extra = ["/", "/docs", "/openapi.json", "/static/docs.js", "/nothing", "/api/v1/classify"]
    for path in [*get_paths, *extra]:
        url = path.format(**VALUES)
        get, head = textbook_client.get(url), textbook_client.head(url)
        assert head.status_code == get.status_code, url
        assert head.content == b""
        for name in ("content-type", "etag", "allow", "retry-after"):
            assert head.headers.get(name) == get.headers.get(name), url
        if url != "/metrics":  # it counts these requests
            assert head.headers["content-length"] == get.headers["content-length"], url


def test_head_is_counted_as_head(textbook_client, until):
    textbook_client.head("/livez")
    expected = 'method="HEAD",model="",route="/livez",status="200"'
    until(lambda: expected in textbook_client.get("/metrics").text)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/api/v1/classify", "POST"),
        ("HEAD", "/api/v1/classify", "POST"),
        ("POST", "/livez", "GET, HEAD"),
        ("OPTIONS", "/metrics", "GET, HEAD"),
        ("DELETE", "/", "GET, HEAD"),
        ("POST", "/static/docs.js", "GET, HEAD"),
        ("DELETE", "/predictions/colours", "POST, PUT"),
        ("GET", f"{MODEL}:predict", "POST"),
        ("DELETE", f"{MODEL}:predict", "POST"),
        ("GET", f"{MODEL}:classify", "POST"),
        ("PUT", f"{MODEL}/versions/1:classify", "POST"),
        ("GET", f"{MODEL}/versions/1:predict", "POST"),
        ("HEAD", f"{MODEL}/versions/1:predict", "POST"),
        ("POST", MODEL, "GET, HEAD"),
        ("POST", f"{MODEL}/versions/1", "GET, HEAD"),
        ("GET", "/v2/models/colours/infer", "POST"),
        ("POST", "/v2/models/colours/versions/1/ready", "GET, HEAD"),
        ("POST", "/api/v1/models/colours/report/x", "GET, HEAD"),
        ("PUT", "/hf/colours/", "POST"),
    ],
)
def test_405_lists_all_methods_of_the_path(client, method, path, allow):
    response = client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == allow


def test_methods_of_different_routes_for_one_path_are_joined():
    from fastapi import FastAPI

    app = FastAPI(openapi_url=None)
    for method in ("PATCH", "DELETE", "GET"):
        app.add_api_route("/items/{name}", lambda name: name, methods=[method])
    assert allowed_methods(app.routes, "/items/one") == "DELETE, GET, HEAD, PATCH"
    assert allowed_methods(app.routes, "/others") == ""


def test_a_post_with_a_trailing_slash_is_served(client, photo):
    for path in ("/api/v1/classify/", "/api/v1/classify/?top_k=1", "/hf/colours/"):
        for _ in range(2):  # the second may come from a cache
            response = client.post(path, content=photo("red"))
            assert response.status_code == 200, path


def test_a_get_with_trailing_slashes_is_served(client):
    for path in ("/livez/", "/api/v1/models/", "/v2/", "/v2/models/colours//", "/metrics/"):
        assert client.get(path).status_code == 200, path


def test_a_slash_leads_to_no_other_route(client):
    response = client.get("/nothing/")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert client.get("/").status_code == 200


def test_a_trailing_slash_needs_the_key_too(make_bundle, serve, photo):
    make_bundle()
    with serve(api_key="hush") as client:
        assert client.post("/api/v1/classify/", content=photo("red")).status_code == 401
        assert client.get("/api/v1/models/").status_code == 401
        headers = {"X-API-Key": "hush"}
        assert client.get("/api/v1/models/", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/api/v1/models/textbook/report", "report/"),
        ("/api/v1/models/textbook/report?version=1", "report/?version=1"),
        ("/docs/", "../docs"),
    ],
)
def test_pages_with_relative_links_redirect_relatively(textbook_client, path, location):
    """The client keeps its scheme, host and the path that a proxy has added."""
    response = textbook_client.get(path, headers={"Host": "public.example"})
    assert (response.status_code, response.headers["location"]) == (307, location)
    assert textbook_client.get(path, follow_redirects=True).status_code == 200


@pytest.mark.parametrize("version", ["0", "-1", "x"])
def test_versions_that_v2_does_not_know_are_documented_as_400(client, version):
    paths = create_app(Settings()).openapi()["paths"]
    for tail in ("", "/ready", "/config"):
        response = client.get(f"/v2/models/colours/versions/{version}{tail}")
        assert response.status_code == 400
        documented = paths["/v2/models/{name}/versions/{version}" + tail]["get"]["responses"]
        assert set(response.json()) == {"error"}
        assert "400" in documented
