"""Refusals before the application: only of a full queue, in every protocol's shape, and cheap."""

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
from functools import partial

import httpx
import pytest
import uvicorn

from app.main import create_app
from app.server.http_protocol import BoundedProtocol
from app.settings import Settings

CLASSIFY = "/api/v1/classify"


@pytest.fixture
def full(make_bundle, tmp_path, monkeypatch):
    """Serve the tiny model with the server's own protocol and an engine that is kept busy.

    The function that it returns fills the queue, or empties it.
    """
    make_bundle()
    monkeypatch.setattr("app.runtime.discovery.BUILT_IN_MODELS", tmp_path / "built-in")
    (tmp_path / "built-in").mkdir()
    with contextlib.ExitStack() as stack:

        def start(**settings):
            app = create_app(Settings(models=tmp_path / "models", **settings))
            http = partial(BoundedProtocol, refuse=app.state.early_refusal.response)
            config = uvicorn.Config(app, http=http, port=0, log_config=None, ws="none")
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(setattr, server, "should_exit", True)
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.005)
            port = server.servers[0].sockets[0].getsockname()[1]
            client = stack.enter_context(
                httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
            )
            engine = app.state.service.classifier.engine
            opened = threading.Event()
            stack.callback(opened.set)
            began = threading.Semaphore(0)
            engine.submit(
                *[lambda turn: (began.release(), opened.wait(30))] * engine.threads,
            )
            for _ in range(engine.threads):
                assert began.acquire(timeout=30)
            engine.expect(1e9)
            engine.submit(lambda turn: None)

            def empty():
                engine.expect(0.02)
                opened.set()

            client.app, client.empty = app, empty
            return client

        yield start


def seen_by_application(client):
    """Return the paths of the requests that the application gets from now on."""
    paths = []
    application = client.app.middleware_stack

    async def watch(scope, receive, send):
        paths.append(scope["path"])
        await application(scope, receive, send)

    client.app.middleware_stack = watch
    return paths


def problem(body):
    assert body["status"] == 429
    assert body["code"] == "queue_full"
    assert body["title"] == "Queue full"
    assert len(body["request_id"]) == 32
    return body["detail"]


SHAPES = [
    ("POST", CLASSIFY, problem),
    ("POST", f"{CLASSIFY}?top_k=3&model=colours", problem),
    ("POST", "/api/v1/embed", problem),
    ("POST", "/api/v1/explain", problem),
    ("POST", "/api/v1/activations", problem),
    ("POST", "/v2/models/colours/infer", lambda body: body["error"]),
    ("POST", "/v2/models/colours/versions/1/infer", lambda body: body["error"]),
    ("POST", "/hf/colours", lambda body: body["error"]),
    ("POST", "/hf/any%20name", lambda body: body["error"]),
    ("POST", "/v1/models/colours:predict", lambda body: body["error"]),
    ("POST", "/v1/models/colours/versions/1:classify", lambda body: body["error"]),
    ("POST", "/predictions/colours", lambda body: body["message"]),
    ("PUT", "/predictions/colours/1.0", lambda body: body["message"]),
]


@pytest.mark.parametrize(
    ("method", "path", "detail"), SHAPES, ids=[f"{s[0]} {s[1]}" for s in SHAPES]
)
def test_a_full_queue_is_refused_in_the_shape_of_each_protocol(full, photo, method, path, detail):
    client = full()
    client.get("/livez")
    paths = seen_by_application(client)
    response = client.request(method, path, content=photo("red"))
    assert response.status_code == 429
    text = detail(response.json())
    assert "already wait for 1 s" in text
    assert text.endswith("Try again later.")
    is_problem = detail is problem
    expected = "application/problem+json" if is_problem else "application/json"
    assert response.headers["content-type"] == expected
    assert int(response.headers["retry-after"]) >= 1
    assert len(response.headers["x-request-id"]) == 32
    assert "total;dur=" in response.headers["server-timing"]
    assert response.headers["date"]
    assert paths == []


def test_the_request_id_of_the_client_is_repeated(full, photo):
    response = full().post(CLASSIFY, content=photo("red"), headers={"X-Request-ID": "order-66"})
    assert response.status_code == 429
    assert response.headers["x-request-id"] == "order-66"
    assert response.json()["request_id"] == "order-66"


def test_a_connection_goes_on_after_a_refusal(full, photo):
    client = full()
    body = photo("red") + bytes(300_000)  # arrives in several pieces, which are dropped
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=20) as raw:
        for _ in range(3):
            head = f"POST {CLASSIFY} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            raw.sendall(head.encode() + body)
            assert read_response(raw)[0] == 429
        client.empty()
        raw.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_response(raw) == (200, {"status": "alive"})
        head = f"POST {CLASSIFY} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(photo('red'))}\r\n\r\n"
        raw.sendall(head.encode() + photo("red"))
        status, result = read_response(raw)
        assert status == 200
        assert result["predictions"][0]["label"] == "red"


def test_a_refusal_does_not_wait_for_the_body(full):
    client = full()
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=20) as raw:
        raw.sendall(
            f"POST {CLASSIFY} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n".encode()
        )
        assert read_response(raw)[0] == 429


def read_response(raw):
    data = b""
    while b"\r\n\r\n" not in data:
        data += raw.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += raw.recv(65536)
    return int(head[9:12]), json.loads(body)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/api/v1/models"),
        ("GET", "/v2/models/colours"),
        ("GET", "/docs"),
    ],
)
def test_requests_that_queue_nothing_are_served_while_the_queue_is_full(full, method, path):
    assert full().request(method, path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", CLASSIFY, 405), ("POST", "/nowhere", 404), ("POST", "/livez", 405)],
)
def test_other_requests_get_their_own_error(full, method, path, status):
    assert full().request(method, path, content=b"x").status_code == status


@pytest.mark.parametrize(
    "headers",
    [{"Connection": "close"}, {"Expect": "100-continue"}],
    ids=str,
)
def test_the_application_refuses_what_ends_the_connection(full, photo, headers):
    client = full()
    client.get("/livez")
    paths = seen_by_application(client)
    response = client.post(CLASSIFY, content=photo("red"), headers=headers)
    assert response.status_code == 429
    assert problem(response.json())
    assert paths == [CLASSIFY]


def test_requests_are_served_once_the_queue_has_room(full, photo):
    client = full()
    assert client.post(CLASSIFY, content=photo("red")).status_code == 429
    client.empty()
    response = client.post(CLASSIFY, content=photo("red"))
    assert response.status_code == 200
    assert response.json()["predictions"][0]["label"] == "red"


def test_refusals_are_counted_and_logged_once_a_second(full, photo, caplog):
    caplog.set_level(logging.INFO, logger="hubel.request")
    client = full()
    for _ in range(5):
        assert client.post(CLASSIFY, content=photo("red")).status_code == 429
    text = client.get("/metrics").text
    assert (
        f'hubel_requests_total{{method="POST",model="",route="{CLASSIFY}",status="429",version=""}}'
        " 5.0" in text
    )
    assert 'hubel_rejections_total{code="queue_full"} 5.0' in text
    until = time.monotonic() + 20
    lines = []
    while not lines and time.monotonic() < until:
        time.sleep(0.02)
        lines = [r.fields for r in caplog.records if r.getMessage() == "requests refused"]
    assert sum(fields["requests"] for fields in lines) == 5
    assert {fields["code"] for fields in lines} == {"queue_full"}


def test_many_different_urls_do_not_fill_the_memory(full):
    refusal = full().app.state.early_refusal

    async def refuse_many():
        for number in range(3000):
            assert refusal.response(b"POST", b"/hf/model-%d" % number, [], 0.0, [])

    asyncio.run(refuse_many())
    assert len(refusal._targets) <= 1024


def test_the_time_limit_of_a_response_begins_with_the_first_byte_of_the_request(full, photo):
    """The head comes slowly; the time that it takes is no longer left for the photo."""
    client = full(deadline_s=0.6)
    client.app.state.service.classifier.engine.expect(1e-6)
    data = photo("red")
    head = f"POST {CLASSIFY} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    times = {}
    for pause_s in (0.0, 0.5):
        with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=20) as raw:
            raw.sendall(head[:20])
            time.sleep(pause_s)
            sent = time.monotonic()
            raw.sendall(head[20:] + data)
            status, body = read_response(raw)  # all threads are busy
            assert (status, body["code"]) == (504, "deadline_passed")
            times[pause_s] = time.monotonic() - sent
    assert times[0.5] < times[0.0] / 2


def test_a_body_has_no_more_time_than_the_response(full, photo):
    client = full(deadline_s=0.2, body_timeout_s=30)
    client.empty()
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=20) as raw:
        raw.sendall(f"POST {CLASSIFY} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n".encode())
        status, body = read_response(raw)
    assert (status, body["code"]) == (408, "body_too_slow")
    assert "within 0.2 s" in body["detail"]
