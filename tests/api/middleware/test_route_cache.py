"""The quick way through a route says what FastAPI's own way says."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Header, Request, Response

from app.api.auth import key_of
from app.api.middleware.route_cache import MAX_URLS, CachedRoute
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
def test_a_request_is_answered_alike_the_first_time_and_later(client, photo, url):
    answers = [post(client, photo, f"/api/v1/{url}") for _ in range(4)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1


def test_urls_are_not_taken_for_each_other(client, photo):
    for _ in range(2):
        for count in (1, 2, 3):
            answer = post(client, photo, f"/api/v1/classify?top_k={count}").json()
            assert len(answer["predictions"]) == count


def test_a_wrong_parameter_is_refused_every_time(client, photo):
    for _ in range(3):
        assert post(client, photo, "/api/v1/classify?top_k=0").status_code == 400


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


def test_the_key_is_asked_for_every_time(serve, photo, make_bundle):
    make_bundle()
    with serve(api_key="right") as client:
        first = [
            post(client, photo, f"/api/v1/classify?n={i}", headers=h) for i, h in enumerate(HEADERS)
        ]
        post(client, photo, "/api/v1/classify", headers={"X-API-Key": "right"})
        later = [post(client, photo, "/api/v1/classify", headers=h) for h in HEADERS]
    assert [a.status_code for a in later] == [a.status_code for a in first]
    assert {a.status_code for a in later} == {200, 401}


def test_what_is_kept_is_bounded(client, photo):
    route_cache = client.app.state.route_cache
    before = len(route_cache)
    post(client, photo, f"/api/v1/classify?long={'x' * 600}")
    assert len(route_cache) == before
    for number in range(MAX_URLS + 44):
        client.post(f"/api/v1/classify?n={number}", content=b"no photo")
    assert 0 < len(route_cache) <= MAX_URLS


def test_an_error_is_told_alike_the_first_time_and_later(client):
    for url in ("/api/v1/classify", "/api/v1/classify?model=nobody"):
        answers = [client.post(url, content=b"no photo") for _ in range(3)]
        for answer in answers:
            assert answer.headers["content-type"] == "application/problem+json"
        problems = [{**answer.json(), "request_id": ""} for answer in answers]
        assert problems[0] == problems[1] == problems[2]


def test_another_method_is_refused_after_a_post(client, photo):
    post(client, photo, "/api/v1/classify")
    assert client.get("/api/v1/classify").status_code == 405


def test_later_requests_are_counted_as_the_first(client, photo):
    def counted():
        for line in client.get("/metrics").text.splitlines():
            if line.startswith('hubel_request_seconds_count{route="/api/v1/classify"}'):
                return float(line.split()[-1])
        return 0.0

    before = counted()
    for _ in range(3):
        post(client, photo, "/api/v1/classify?counted=1")
    assert counted() == before + 3


def test_a_route_that_reads_more_than_its_url_is_refused():
    router = APIRouter(route_class=CachedRoute)

    async def endpoint(
        request: Request, service: ServiceDep, accept: Annotated[str, Header()]
    ) -> Response:
        return Response()

    with pytest.raises(TypeError, match="outside its URL"):
        router.add_api_route("/somewhere", endpoint, methods=["POST"])


def test_a_key_is_read_from_either_header():
    def key(*headers):
        return key_of(Request({"type": "http", "headers": headers}))

    assert key() is None
    assert key((b"x-api-key", b"a")) == "a"
    assert key((b"authorization", b"Bearer b"), (b"x-api-key", b"a")) == "b"
