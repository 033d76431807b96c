"""A cached route responds as it does through FastAPI's own routing."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Cookie, Depends, FastAPI, Header, Request, Response
from fastapi.testclient import TestClient

from app.api import auth
from app.api.auth import key_from_headers, require_admin
from app.api.middleware.route_cache import MAX_URLS, CachedRoute, RouteCache
from app.api.service import ServiceDep


def post(client, photo, url, **options):
    return client.post(url, content=photo("red"), **options)


@pytest.mark.parametrize(
    "url",
    [
        "classify",
        "classify?top_k=2",
        "classify?min_probability=0.9",
        "classify?model=colours&version=1",
        "classify?batch=true",
    ],
)
def test_the_first_and_later_responses_are_equal(client, photo, url):
    responses = [post(client, photo, f"/api/v1/{url}") for _ in range(4)]
    assert {response.status_code for response in responses} == {200}
    assert len({response.text for response in responses}) == 1


def test_urls_are_cached_separately(client, photo):
    for _ in range(2):
        for count in (1, 2, 3):
            body = post(client, photo, f"/api/v1/classify?top_k={count}").json()
            assert len(body["predictions"]) == count


@pytest.mark.parametrize("query", ["top_k=0", "topk=3", "top_k=1&topk=3", "top_k=1&top_k=2"])
def test_an_invalid_parameter_is_rejected_every_time(client, photo, query):
    for _ in range(3):
        assert post(client, photo, f"/api/v1/classify?{query}").status_code == 400


def test_a_cached_url_takes_the_fields_of_each_form(client, photo):
    file = {"file": ("a.jpg", photo("red"))}

    def count(url, **fields):
        body = client.post(url, data=fields, files=file).json()
        return len(body["predictions"])

    for _ in range(2):
        assert count("/api/v1/classify", top_k="1") == 1
        assert count("/api/v1/classify") == 3
        assert count("/api/v1/classify?top_k=2", top_k="2") == 2
        assert client.post("/api/v1/classify?top_k=2", data={"top_k": "1"}, files=file).is_error


HEADERS = [
    {},
    {"Authorization": "Bearer right"},
    {"Authorization": "bearer right"},
    {"Authorization": "Basic right"},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer wrong", "X-API-Key": "right"},
    {"X-API-Key": "right"},
    {"X-API-Key": "wrong"},
    {"X-API-Key": ""},
]


def test_the_key_is_checked_every_time(serve, photo, make_bundle):
    make_bundle()
    with serve(api_key="right") as client:
        first = [
            post(client, photo, f"/api/v1/classify?top_k={i}", headers=h)
            for i, h in enumerate(HEADERS, 1)
        ]
        post(client, photo, "/api/v1/classify", headers={"X-API-Key": "right"})
        later = [post(client, photo, "/api/v1/classify", headers=h) for h in HEADERS]
    assert [r.status_code for r in later] == [r.status_code for r in first]
    assert {r.status_code for r in later} == {200, 401}


def test_the_cache_is_bounded(client, photo):
    route_cache = client.app.state.route_cache
    before = len(route_cache)
    post(client, photo, f"/api/v1/classify?top_k={'1'.zfill(600)}")
    assert len(route_cache) == before
    for number in range(MAX_URLS + 44):
        client.post(f"/api/v1/classify?top_k={number + 1}", content=b"no photo")
    assert 0 < len(route_cache) <= MAX_URLS


def test_the_first_and_later_errors_are_equal(client):
    for url in ("/api/v1/classify", "/api/v1/classify?model=nobody"):
        responses = [client.post(url, content=b"no photo") for _ in range(3)]
        for response in responses:
            assert response.headers["content-type"] == "application/problem+json"
        problems = [{**response.json(), "request_id": ""} for response in responses]
        assert problems[0] == problems[1] == problems[2]


def test_another_method_is_rejected_after_a_post(client, photo):
    post(client, photo, "/api/v1/classify")
    assert client.get("/api/v1/classify").status_code == 405


def test_cached_requests_are_counted_like_the_first(client, photo):
    def request_count():
        for line in client.get("/metrics").text.splitlines():
            if line.startswith('hubel_request_seconds_count{route="/api/v1/classify"}'):
                return float(line.split()[-1])
        return 0.0

    before = request_count()
    for _ in range(3):
        post(client, photo, "/api/v1/classify?top_k=77")
    assert request_count() == before + 3


async def endpoint(request: Request, service: ServiceDep, n: int = 0) -> Response:
    return Response()


async def with_header(
    request: Request, service: ServiceDep, accept: Annotated[str, Header()]
) -> Response:
    return Response()


async def with_cookie(
    request: Request, service: ServiceDep, session: Annotated[str, Cookie()]
) -> Response:
    return Response()


async def with_body(request: Request, service: ServiceDep, body: dict[str, str]) -> Response:
    return Response()


async def with_response(request: Request, service: ServiceDep, response: Response) -> Response:
    return response


@pytest.mark.parametrize("route", [with_header, with_cookie, with_body, with_response])
def test_a_route_with_parameters_outside_its_url_is_rejected(route):
    router = APIRouter(route_class=CachedRoute)
    with pytest.raises(TypeError, match="outside its URL"):
        router.add_api_route("/somewhere", route, methods=["POST"])


async def with_admin(
    request: Request, service: ServiceDep, admin: Annotated[None, Depends(require_admin)]
) -> Response:
    return Response()


async def require_key(
    key: Annotated[None, Depends(auth.require_key)],
    admin: Annotated[None, Depends(require_admin)],
) -> None:
    """Look like the allowed dependency, and check more."""


ADMIN = [Depends(require_admin)]


@pytest.mark.parametrize(
    ("route", "of_router", "of_route"),
    [
        (endpoint, [], ADMIN),
        (endpoint, ADMIN, []),
        (endpoint, [Depends(auth.require_key)], ADMIN),
        (with_admin, [], []),
        (endpoint, [Depends(require_key)], []),
        (endpoint, [], [Depends(require_key)]),
    ],
    ids=["decorator", "router", "beside the key", "parameter", "nested", "nested in decorator"],
)
def test_a_dependency_that_the_cache_would_skip_is_rejected(route, of_router, of_route):
    router = APIRouter(route_class=CachedRoute, dependencies=of_router)
    with pytest.raises(TypeError, match=r"/somewhere depends on .*\brequire_admin\b.* skipped"):
        router.post("/somewhere", dependencies=of_route)(route)


def test_the_dependencies_that_the_cache_repeats_are_allowed():
    router = APIRouter(route_class=CachedRoute, dependencies=[Depends(auth.require_key)])
    router.post("/somewhere")(endpoint)
    assert isinstance(router.routes[0], CachedRoute)


@pytest.mark.parametrize("of_app", [True, False], ids=["application", "include_router"])
def test_a_dependency_added_by_the_application_is_rejected_before_the_endpoint_runs(of_app):
    async def allow_all() -> None:
        pass

    added = [Depends(allow_all)]
    router = APIRouter(route_class=CachedRoute)
    router.post("/somewhere")(endpoint)
    app = FastAPI(dependencies=added if of_app else [])
    app.include_router(router, dependencies=[] if of_app else added)
    app.state.service, app.state.route_cache = None, RouteCache()
    with pytest.raises(TypeError, match=r"depends on .*allow_all"):
        TestClient(app).post("/somewhere")
    assert len(app.state.route_cache) == 0


def test_a_key_is_read_from_either_header():
    def key(*headers):
        return key_from_headers(Request({"type": "http", "headers": headers}))

    assert key() is None
    assert key((b"x-api-key", b"a")) == "a"
    assert key((b"authorization", b"Bearer b"), (b"x-api-key", b"a")) == "b"
