"""Bodies over a limit are rejected before they are read, and the buffer is emptied."""

import pytest

from app.errors import QueueFull
from benchmarks.hardening.images import png

CLASSIFY = "/api/v1/classify"
PNG = png((4200, 4200), "rgba", 8)


def buffer_of(client):
    return client.app.state.service.memory_budget


@pytest.fixture
def small(make_bundle, serve):
    """A service with limits of 20,000 bytes per image, 50,000 per body and 60,000 in total."""
    make_bundle()
    with serve(max_image_bytes=20_000, max_body_bytes=50_000, max_buffered_bytes=60_000) as client:
        yield client


@pytest.mark.parametrize(
    ("content_type", "announced"),
    [("image/jpeg", 20_001), ("multipart/form-data; boundary=x", 50_001), ("image/png", 10**15)],
)
def test_a_body_that_is_announced_too_long_is_rejected_before_it_arrives(
    small, connect, content_type, announced
):
    raw = connect(small)
    raw.send(
        f"POST {CLASSIFY} HTTP/1.1", f"Content-Type: {content_type}", f"Content-Length: {announced}"
    )
    status, headers, body = raw.read_response()
    assert (status, body["code"]) == (413, "too_many_bytes")
    assert str(announced) in body["detail"]
    assert body["request_id"] == headers["x-request-id"]
    assert buffer_of(small).held_bytes == 0


def test_a_client_that_expects_100_continue_is_rejected_at_once(small, connect):
    raw = connect(small)
    raw.send(f"POST {CLASSIFY} HTTP/1.1", "Content-Length: 30000", "Expect: 100-continue")
    assert raw.read_response()[0] == 413


def test_a_chunked_body_is_rejected_when_it_exceeds_the_limit(small, connect):
    raw = connect(small)
    raw.send(f"POST {CLASSIFY} HTTP/1.1", "Transfer-Encoding: chunked")
    raw.socket.sendall(b"4e21\r\n" + bytes(20_001) + b"\r\n")  # and no last chunk
    status, _, body = raw.read_response()
    assert (status, body["code"]) == (413, "too_many_bytes")


def test_a_body_of_exactly_the_limit_is_accepted(small, photo):
    data = photo("red").ljust(20_000, b"\0")
    assert small.post(CLASSIFY, content=data).status_code == 200
    assert small.post(CLASSIFY, content=data + b"\0").status_code == 413


def test_a_file_in_a_batch_has_the_limit_of_an_image(small, photo):
    files = [("file", ("a", photo("red").ljust(20_001, b"\0"))), ("file", ("b", photo("red")))]
    first, second = small.post(CLASSIFY, files=files).json()["results"]
    assert (first["problem"]["status"], first["problem"]["code"]) == (413, "too_many_bytes")
    assert second["predictions"][0]["label"] == "red"


def test_bodies_that_together_exceed_the_buffer_are_rejected(small, connect, photo, until):
    slow = [connect(small) for _ in range(3)]
    for raw in slow:
        raw.send(f"POST {CLASSIFY} HTTP/1.1", "Content-Length: 19000", body=bytes(18_999))
    until(lambda: buffer_of(small).held_bytes == 3 * 18_999)
    response = small.post(CLASSIFY, content=photo("red").ljust(4_000, b"\0"))
    assert (response.status_code, response.json()["code"]) == (429, "queue_full")
    assert int(response.headers["retry-after"]) >= 1
    for raw in slow:
        raw.socket.close()
    until(lambda: buffer_of(small).held_bytes == 0)
    assert small.post(CLASSIFY, content=photo("red")).status_code == 200


@pytest.mark.parametrize("announced", [True, False], ids=["Content-Length", "chunked"])
def test_a_body_that_never_fits_is_413_and_not_429(make_bundle, serve, announced):
    make_bundle()
    with serve(max_image_bytes=50_000, max_buffered_bytes=20_000) as client:
        body = bytes(30_000)
        response = client.post(CLASSIFY, content=body if announced else iter([body]))
        assert (response.status_code, response.json()["code"]) == (413, "too_much_memory")
        assert "smaller images" in response.json()["detail"]


def test_announced_bodies_take_no_room_in_the_buffer(small, connect, photo, until):
    idle = [connect(small) for _ in range(10)]
    for raw in idle:
        raw.send(f"POST {CLASSIFY} HTTP/1.1", "Content-Length: 19000", body=b"\xff")
    until(lambda: buffer_of(small).held_bytes == len(idle))
    assert small.post(CLASSIFY, content=photo("red")).status_code == 200
    for raw in idle:
        raw.socket.close()
    until(lambda: buffer_of(small).held_bytes == 0)


@pytest.mark.parametrize(
    "sent",
    [
        {"content": b"text"},
        {"content": b"\xff\xd8\xff" + bytes(500)},
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        {"files": [("file", ("a", b"text"))] * 3},
        {"content": bytes(30_000)},
        {"content": iter([bytes(15_000), bytes(15_000)])},
    ],
    ids=["no image", "broken", "no boundary", "batch", "too long", "too long in chunks"],
)
def test_the_buffer_is_empty_after_every_kind_of_request(small, photo, sent, until):
    small.post(CLASSIFY, **sent)
    until(lambda: buffer_of(small).held_bytes == 0)
    assert small.post(CLASSIFY, content=photo("red")).status_code == 200
    until(lambda: buffer_of(small).held_bytes == 0)


def test_the_buffer_is_empty_after_a_client_left_during_its_body(client, connect, until):
    raw = connect(client)
    raw.send(f"POST {CLASSIFY} HTTP/1.1", "Content-Length: 1000", body=b"\xff\xd8\xff")
    until(lambda: buffer_of(client).held_bytes == 3)
    raw.socket.close()
    until(lambda: buffer_of(client).held_bytes == 0)


def test_the_photo_of_a_client_that_left_the_queue_is_not_decoded(
    make_bundle, serve, connect, photo, block, until, monkeypatch, caplog
):
    make_bundle()
    with serve() as client:
        from app import vision

        decoded = []
        read = vision.read_header
        monkeypatch.setattr(
            vision, "read_header", lambda data, *rest: decoded.append(data) or read(data, *rest)
        )
        with block(client) as held:
            raw = connect(client)
            data = photo("red")
            raw.send(f"POST {CLASSIFY} HTTP/1.1", f"Content-Length: {len(data)}", body=data)
            until(lambda: held.engine.depth == 1)
            raw.socket.close()
            until(lambda: held.engine.depth == 0)
        assert client.post(CLASSIFY, content=photo("blue")).status_code == 200
        assert decoded == [photo("blue")]
        assert buffer_of(client).held_bytes == 0
        text = client.get("/metrics").text
        assert 'hubel_rejections_total{code="client_gone"} 1.0' in text
    assert [r.getMessage() for r in caplog.records if r.name == "asyncio"] == []


BROKEN = b"\xff\xd8\xff" + bytes(99)


@pytest.mark.parametrize(
    ("body", "room", "expected"),
    [(BROKEN, 10**9, 422), (PNG, 10_000_000, 413), (PNG, 10**9, 429), (PNG, 10**9, 200)],
    ids=["broken", "never fits", "no room among large images", "large"],
)
def test_no_request_keeps_its_body(client, monkeypatch, body, room, expected):
    """A reference cycle through an error's traceback would keep it until garbage collection."""
    import gc

    from app import vision
    from app.runtime.engine.large_lane import LargeLane

    alive = []

    class Body(bytes):
        """Bytes that record their deletion."""

        def __del__(self):
            alive.remove(id(self))

    class Holder:
        """An opened image that keeps its bytes, as every format's reader does."""

        def __init__(self, body, opened):
            self.body, self.opened, self.work = body, opened, opened.work

        def decode(self):
            return self.opened.decode()

    read_header, opened = vision.read_header, []

    def watched(data, *rest):
        body = Body(data)
        alive.append(id(body))
        opened.append(True)
        return Holder(body, read_header(body, *rest))

    def refuse(*_):
        raise QueueFull("There is no room.", retry_after_s=1)

    monkeypatch.setattr(vision, "read_header", watched)
    if expected == 429:
        monkeypatch.setattr(LargeLane, "add", refuse)
    client.app.state.service.memory_budget.total_bytes = room
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            assert client.post(CLASSIFY, content=body).status_code == expected
        client.get("/livez")  # the last request has ended
        assert opened
        assert alive == []
    finally:
        gc.enable()
