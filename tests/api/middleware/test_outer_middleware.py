"""What a proxy in front and pages of other origins need: root path, client address, CORS."""

import json
import logging

import pytest

from app.api.problems import raw_http_problem
from app.errors import BadParameter
from app.main import create_app
from app.settings import Settings

CLASSIFY = "/api/v1/classify"
ORIGIN = {"Origin": "https://shop.example"}
SETTINGS = {
    "root_path": "/hubel",
    "cors_origins": "https://shop.example, http://localhost:5173",
    "trusted_proxies": "127.0.0.1, 10.0.0.0/8",
    "api_key": "hush",
}
KEY = {"X-API-Key": "hush"}


@pytest.fixture(scope="module")
def behind(module_bundle_maker, module_serve, tmp_path_factory):
    """A client of a service with all of these settings."""
    below = tmp_path_factory.mktemp("behind")
    module_bundle_maker(below)()
    with module_serve(below, **SETTINGS) as client:
        yield client


@pytest.fixture
def logged(caplog):
    """Return the fields of the requests that are logged."""
    caplog.set_level(logging.DEBUG, "hubel.request")
    return lambda: [r.fields for r in caplog.records if r.name == "hubel.request"]


@pytest.mark.parametrize("prefix", ["", "/hubel"])
def test_paths_are_served_with_the_root_path_and_without(behind, photo, prefix, logged):
    for _ in range(2):  # the second comes from the route cache
        response = behind.post(f"{prefix}{CLASSIFY}", content=photo("red"), headers=KEY)
        assert response.status_code == 200
    assert behind.get(f"{prefix}/").text.startswith("<!doctype html>")
    assert behind.get(f"{prefix}/static/docs.js").status_code == 200
    assert behind.get(f"{prefix}/v2/models/none").json() == {"error": behind_error()}
    assert behind.get(f"{prefix}/api/v1/models/", headers=KEY).status_code == 200
    assert behind.delete(f"{prefix}/livez").headers["allow"] == "GET, HEAD"
    assert {each["path"] for each in logged()} >= {CLASSIFY, "/"}


def behind_error():
    return "A key is needed. Send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."


def test_the_root_path_alone_leads_to_the_page(behind):
    response = behind.get("/hubel")
    assert (response.status_code, response.headers["location"]) == (307, "hubel/")
    followed = behind.get("/hubel", follow_redirects=True)
    assert (followed.url.path, followed.status_code) == ("/hubel/", 200)
    assert behind.get("/hubell").status_code == 404


def test_the_openapi_document_names_the_root_path(behind, client):
    assert behind.get("/hubel/openapi.json").json()["servers"] == [{"url": "/hubel"}]
    assert "servers" not in client.get("/openapi.json").json()


def test_a_root_path_that_begins_like_a_route_is_refused():
    with pytest.raises(BadParameter, match="HUBEL_ROOT_PATH=/api begins like a route"):
        create_app(Settings(root_path="/api"))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"root_path": "hubel"}, "it must be a path such as /hubel"),
        ({"root_path": "/a b"}, "it must be a path"),
        ({"cors_origins": "https://shop.example/"}, "https://shop.example/ is no origin"),
        ({"cors_origins": "shop.example"}, "shop.example is no origin"),
        ({"trusted_proxies": "10.0.0.1/8"}, "10.0.0.1/8 is no address and no network"),
        ({"trusted_proxies": "proxy"}, "proxy is no address"),
    ],
    ids=str,
)
def test_a_wrong_setting_says_what_is_right(settings, text):
    with pytest.raises(ValueError, match=text):
        Settings(**settings)


def test_empty_settings_are_unset():
    assert Settings(root_path="/").root_path is None
    assert Settings(root_path="/hubel/").root_path == "/hubel"
    assert Settings().cors_origin_list == Settings().trusted_proxy_list == []
    assert Settings(trusted_proxies="*").trusted_proxy_list == ["*"]
    assert Settings(trusted_proxies="10.0.0.2,fd00::/8").trusted_proxy_list == [
        "10.0.0.2/32",
        "fd00::/8",
        "::ffff:10.0.0.2/128",
    ]


@pytest.mark.parametrize(
    ("forwarded", "client_address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("", "127.0.0.1"),
    ],
    ids=["one proxy", "a client that pretends, and two proxies", "none"],
)
def test_a_trusted_proxy_tells_the_client(behind, logged, until, forwarded, client_address):
    behind.get("/livez", headers={"X-Forwarded-For": forwarded})
    until(logged)
    assert logged()[-1]["client"] == client_address


def test_nobody_is_trusted_by_default(client, logged, until):
    client.get("/livez", headers={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"})
    until(logged)
    assert logged()[-1]["client"] == "127.0.0.1"


def test_wrong_keys_are_counted_for_the_client_behind_the_proxy(behind):
    def guess(address):
        headers = {"X-API-Key": "guess", "X-Forwarded-For": address}
        return behind.get("/api/v1/models", headers=headers).status_code

    assert 429 in {guess("203.0.113.50") for _ in range(60)}
    assert guess("203.0.113.51") == 401


def allowed(response):
    return response.headers.get("access-control-allow-origin")


def test_a_preflight_allows_the_keys_of_an_allowed_origin(behind):
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    response = behind.options(f"/hubel{CLASSIFY}", headers={**ORIGIN, **asked})
    assert response.status_code == 200
    assert allowed(response) == "https://shop.example"
    assert response.headers["access-control-allow-headers"] == "x-api-key"
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in response.headers
    foreign = {"Origin": "https://other.example", **asked}
    assert allowed(behind.options(CLASSIFY, headers=foreign)) is None


def test_responses_and_errors_have_the_fields_for_allowed_origins_alone(behind, photo):
    for headers, path, status in (
        (KEY, CLASSIFY, 200),
        ({}, CLASSIFY, 401),
        (KEY, "/nowhere", 404),
        (KEY, "/hf/colours", 200),
    ):
        response = behind.post(path, content=photo("red"), headers={**headers, **ORIGIN})
        assert (response.status_code, allowed(response)) == (status, "https://shop.example")
        assert "Retry-After" in response.headers["access-control-expose-headers"]
        assert "Origin" in response.headers["vary"]
    assert allowed(behind.get("/livez", headers={"Origin": "https://other.example"})) is None
    assert allowed(behind.get("/livez", headers={"Origin": "null"})) is None


def test_an_unexpected_error_has_them_too(behind, photo, monkeypatch):
    service = behind.app.state.service
    monkeypatch.setattr(type(service.registry), "resolve", lambda *_: 1 / 0)
    response = behind.post(CLASSIFY, content=photo("red"), headers={**KEY, **ORIGIN})
    assert (response.status_code, allowed(response)) == (500, "https://shop.example")


def test_early_refusals_know_origins_and_the_root_path(behind, block):
    def refusal(target, *headers):
        refuse = behind.app.state.early_refusal
        refuse._unlogged = 1  # a log line needs the server's event loop
        response = refuse.response(b"POST", target, headers, 0.0, ())
        head, _, body = response.partition(b"\r\n\r\n")
        return head.decode().split("\r\n"), json.loads(body)

    with block(behind) as busy:
        busy.fill()
        lines, body = refusal(
            b"/hubel/v2/models/colours/infer", (b"origin", b"http://localhost:5173")
        )
        assert list(body) == ["error"]
        assert "access-control-allow-origin: http://localhost:5173" in lines
        assert "vary: Origin" in lines
        assert "referrer-policy: no-referrer" in lines
        lines, _ = refusal(CLASSIFY.encode(), (b"origin", b"https://other.example"))
        assert not any(line.startswith("access-control-allow-origin") for line in lines)
        busy.empty()


def test_all_origins_by_a_star(make_bundle, serve):
    make_bundle()
    with serve(cors_origins="*") as client:
        assert allowed(client.get("/livez", headers={"Origin": "null"})) == "*"


def test_without_the_setting_no_origin_is_allowed(client):
    response = client.get("/livez", headers=ORIGIN)
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert client.options(CLASSIFY, headers=ORIGIN).status_code == 405


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/livez", "/nowhere", "/static/docs.js", "/openapi.json"]
)
def test_browsers_are_told_to_be_strict(client, path):
    headers = client.get(path).headers
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers.get_list("referrer-policy") == ["no-referrer"]
    if path not in ("/livez", "/nowhere"):
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "strict-transport-security" not in headers


def test_a_response_before_the_application_is_strict_too():
    head = raw_http_problem(400, "bad_request", "Bad request", "It is none.").partition(
        b"\r\n\r\n"
    )[0]
    assert b"\r\nx-content-type-options: nosniff\r\nreferrer-policy: no-referrer" in head


def test_a_client_behind_any_proxy_can_not_be_named_by_text(make_bundle, serve, photo, logged):
    make_bundle()
    with serve(trusted_proxies="*") as client:
        for sent in ("198.51.100.7", "x" * 5000, "2001:db8::1", ""):
            client.post(CLASSIFY, content=photo("red"), headers={"X-Forwarded-For": sent})
    named = [each["client"] for each in logged() if each["path"] == CLASSIFY]
    assert named == ["198.51.100.7", "127.0.0.1", "2001:db8::1", "127.0.0.1"]
