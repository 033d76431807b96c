"""Keys: the routes that require one, and the access that each key gives."""

import pytest

from app.api.auth import Keys
from app.errors import Forbidden, Unauthenticated

RELOAD = "/api/v1/models/colours/reload"


@pytest.fixture
def keyed(make_bundle, serve):
    make_bundle()
    with serve(api_key="hush", admin_key="boss") as client:
        yield client


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def test_each_key_is_accepted_in_each_header(keyed, photo):
    for headers in (bearer("hush"), bearer("boss"), {"X-API-Key": "hush"}, {"X-API-Key": "boss"}):
        assert keyed.get("/api/v1/models", headers=headers).status_code == 200
        response = keyed.post("/api/v1/classify", content=photo("red"), headers=headers)
        assert response.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("wrong"),
        bearer("hush2"),
        {"X-API-Key": "Hush"},
        {"X-API-Key": b"\xff\xe4"},
        {"Authorization": "Basic aHVzaA=="},
        {"Authorization": "hush"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/classify"),
        ("GET", "/api/v1/models"),
        ("GET", "/api/v1/models/colours"),
        ("POST", RELOAD),
    ],
    ids=["classify", "models", "model", "reload"],
)
def test_every_route_of_the_api_requires_a_key(client_with_key, method, path, headers):
    assert client_with_key.request(method, path, headers=headers).status_code == 401


@pytest.fixture(scope="module")
def client_with_key(client):
    """The module's service with configured keys."""
    import dataclasses

    state = client.app.state
    before = state.service
    state.service = dataclasses.replace(before, keys=Keys("hush", "boss"))
    yield client
    state.service = before


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/static/docs.js", "/"]
)
def test_probes_metrics_and_docs_need_no_key(client_with_key, path):
    assert client_with_key.get(path, follow_redirects=True).status_code == 200


def test_a_request_without_a_key_is_rejected_before_its_body_is_read(client_with_key, connect):
    raw = connect(client_with_key)
    raw.send("POST /api/v1/classify HTTP/1.1", "Content-Length: 1000000")
    assert raw.read_response()[0] == 401


@pytest.mark.parametrize(
    ("key", "status"), [("boss", 200), ("hush", 403), ("wrong", 401), (None, 401)]
)
def test_only_the_admin_key_reloads(keyed, key, status):
    headers = bearer(key) if key else {}
    assert keyed.post(RELOAD, headers=headers).status_code == status


def test_without_an_admin_key_nobody_reloads(make_bundle, serve):
    make_bundle()
    with serve() as client:
        response = client.post(RELOAD, headers=bearer("anything"))
    assert response.status_code == 403
    assert "HUBEL_ADMIN_KEY" in response.json()["detail"]


def test_a_key_from_a_file_is_required(make_bundle, serve, tmp_path):
    make_bundle()
    (tmp_path / "key").write_text("from a file\n")
    with serve(api_key_file=tmp_path / "key") as client:
        assert client.get("/api/v1/models").status_code == 401
        headers = {"X-API-Key": "from a file"}
        assert client.get("/api/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("key", [None, "", "x"])
def test_without_configured_keys_the_api_is_open_and_admin_routes_are_forbidden(key):
    Keys().check(key)
    with pytest.raises(Forbidden):
        Keys().check_admin(key)


def test_an_admin_key_alone_protects_only_admin_routes():
    keys = Keys(admin="boss")
    keys.check(None)
    keys.check_admin("boss")
    with pytest.raises(Unauthenticated):
        keys.check_admin(None)
