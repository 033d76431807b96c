"""HTTP as clients send it, valid or not: raw bytes to a real server, and its exact responses."""

import contextlib
import json
import re
import socket
import time

import httpx
import pytest

from app.runtime.host import available_cores

pytestmark = pytest.mark.e2e

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture
def exchange(server):
    """Send pieces on a connection; return the responses up to the end of the connection."""

    def send(*pieces, pause_s=0.05, half_close=False, end=True):
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
            for number, piece in enumerate(pieces):
                time.sleep(pause_s if number else 0)
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            while more := connection.recv(65536):
                received += more
                if not end and is_complete(received):
                    break
            return responses(received)

    return send


def is_complete(received):
    head, separator, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return bool(separator) and length is not None and len(body) >= int(length[1])


def responses(received):
    """Return (status, JSON) of each final response; a slow one may have an interim one before."""
    found = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        if status == 100:
            continue
        length = re.search(rb"content-length: (\d+)", head)
        size = int(length[1]) if length else 0
        found.append((status, json.loads(received[:size] or b"null")))
        received = received[size:]
    return found


def post(photo, *headers, version="1.1", host="Host: test"):
    """Return the head of a request that posts a photo."""
    lines = [
        f"POST /api/v1/classify HTTP/{version}",
        *([host] if host else []),
        f"Content-Length: {len(photo)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def chunked(photo, *headers):
    lines = ["POST /api/v1/classify HTTP/1.1", "Host: test", "Transfer-Encoding: chunked", *headers]
    head = "\r\n".join([*lines, "", ""]).encode()
    middle = len(photo) // 2
    pieces = (photo[:middle], photo[middle:])
    return head, b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"


def label_of(response):
    status, body = response
    assert status == 200, body
    return body["predictions"][0]["label"]


CAT = "Egyptian cat"
UPGRADES = {
    "h2c": ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ"],
    "websocket": [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ],
    "lower case, several": ["connection: keep-alive, upgrade", "upgrade: TLS/1.0, h2c"],
}


@pytest.mark.parametrize("headers", UPGRADES.values(), ids=UPGRADES)
class TestAnUpgradeIsIgnoredAndTheBodyIsKept:
    def test_in_one_piece(self, exchange, cat_photo, headers):
        request = post(cat_photo, *headers) + cat_photo
        assert label_of(*exchange(request, end=False)) == CAT

    def test_with_the_body_behind(self, exchange, cat_photo, headers):
        middle = len(cat_photo) // 2
        pieces = post(cat_photo, *headers), cat_photo[:middle], cat_photo[middle:]
        assert label_of(*exchange(*pieces, end=False)) == CAT

    def test_with_a_divided_head(self, exchange, cat_photo, headers):
        request = post(cat_photo, *headers) + cat_photo
        assert label_of(*exchange(request[:90], request[90:], end=False)) == CAT

    def test_with_a_chunked_body(self, exchange, cat_photo, headers):
        assert label_of(*exchange(*chunked(cat_photo, *headers), end=False)) == CAT

    def test_among_pipelined_requests(self, exchange, cat_photo, headers):
        request = post(cat_photo, *headers) + cat_photo
        upgraded = LIVEZ.replace(b"\r\n\r\n", "\r\n".join(["", *headers, "", ""]).encode())
        got = exchange(LIVEZ + request + upgraded + request + LIVEZ, half_close=True)
        assert [status for status, _ in got] == [200] * 5
        assert label_of(got[1]) == label_of(got[3]) == CAT


def test_an_upgrade_of_a_connection_that_closes_keeps_the_body(exchange, cat_photo):
    headers = "Connection: close, Upgrade", "Upgrade: h2c"
    assert label_of(*exchange(post(cat_photo, *headers), cat_photo)) == CAT


def problem_of(responses):
    ((status, problem),) = responses
    assert problem["status"] == status
    assert problem["detail"].endswith(".")
    return status, problem["code"]


BAD_HEADS = {
    "no HTTP": b"EHLO example.org\r\n\r\n",
    "a length that is no number": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a list of lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
    "no chunked at the end": b"POST / HTTP/1.1\r\nHost: a\r\n"
    b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "gzip alone": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
    "chunked on two lines": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "no Host with an upgrade": b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "two Hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "a Host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a Host with a space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
}


@pytest.mark.parametrize("head", BAD_HEADS.values(), ids=BAD_HEADS)
def test_a_bad_head_gets_400_before_the_connection_closes(exchange, head):
    assert problem_of(exchange(head)) == (400, "bad_request")


@pytest.mark.parametrize("head", BAD_HEADS.values(), ids=BAD_HEADS)
def test_a_bad_head_behind_a_photo_is_rejected_after_its_response(exchange, cat_photo, head):
    photo, *rejected = exchange(post(cat_photo) + cat_photo + head)
    assert label_of(photo) == CAT
    assert problem_of(rejected) == (400, "bad_request")


@pytest.mark.parametrize("head", [BAD_HEADS["two lengths"], BAD_HEADS["no Host"]])
def test_the_rejection_arrives_although_a_body_follows(exchange, head):
    assert problem_of(exchange(head + bytes(8_000_000))) == (400, "bad_request")


CHUNKS = b"POST /api/v1/classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "chunks",
    [b"x\r\n", b"-1\r\n", b"5\r\nphotos\r\n", b"5\r\nphoto\r\nx", b"fffffffffffffffff\r\n"],
    ids=["no number", "negative", "too long", "no number later", "over 64 bits"],
)
@pytest.mark.parametrize("before", [b"", LIVEZ], ids=["first", "pipelined"])
def test_bad_chunks_get_400(exchange, chunks, before):
    *earlier, last = exchange(before + CHUNKS, chunks)
    assert [status for status, _ in earlier] == [200] * bool(before)
    assert problem_of([last]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("codings", "expected"),
    [
        ("gzip, chunked", (501, "transfer_coding_not_supported")),
        ("deflate,Chunked", (501, "transfer_coding_not_supported")),
        ("br\r\nTransfer-Encoding: chunked", (501, "transfer_coding_not_supported")),
    ],
)
def test_other_transfer_codings_are_not_implemented(exchange, codings, expected):
    head = f"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {codings}\r\n\r\n".encode()
    assert problem_of(exchange(head, b"0\r\n\r\n")) == expected


def test_chunked_is_case_insensitive(exchange, cat_photo):
    head, body = chunked(cat_photo)
    assert label_of(*exchange(head.replace(b"chunked", b"CHUNKED"), body, end=False)) == CAT


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", (505, "http_version_not_supported")),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", (405, "method_not_allowed")),
    ],
    ids=["HTTP/2.0", "CONNECT"],
)
def test_what_is_not_supported_has_its_own_status(exchange, head, expected):
    assert problem_of(exchange(head)) == expected


@pytest.mark.parametrize("host", ["Host: test:80", "Host: [::1]:80", "Host:", "hOsT: a_b.example"])
def test_valid_hosts_are_accepted(exchange, cat_photo, host):
    assert label_of(*exchange(post(cat_photo, host=host) + cat_photo, end=False)) == CAT


def test_http_1_0_needs_no_host(exchange, cat_photo):
    request = post(cat_photo, version="1.0", host=None) + cat_photo
    assert label_of(*exchange(request)) == CAT


@pytest.mark.parametrize("value", ["identity", "Identity", "", " ", "identity, IDENTITY"])
def test_a_content_encoding_that_is_none_is_accepted(exchange, cat_photo, value):
    request = post(cat_photo, f"Content-Encoding: {value}") + cat_photo
    assert label_of(*exchange(request, end=False)) == CAT


@pytest.mark.parametrize("value", ["gzip", "GZIP", "identity, br", "deflate\r\nContent-Encoding: "])
def test_a_compressed_body_is_rejected(exchange, cat_photo, value):
    request = post(cat_photo, f"Content-Encoding: {value}") + cat_photo
    assert problem_of(exchange(request, end=False)) == (415, "unsupported_format")


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("pause_s", [0, 0.3], ids=["at once", "later"])
def test_a_half_closed_post_gets_its_response(exchange, cat_photo, version, pause_s):
    pieces = post(cat_photo, version=version) + cat_photo[:-1], cat_photo[-1:]
    assert label_of(*exchange(*pieces, half_close=True, pause_s=pause_s)) == CAT


def test_half_closed_pipelined_requests_all_get_responses(exchange, cat_photo):
    request = post(cat_photo) + cat_photo
    got = exchange(request * 5 + LIVEZ, half_close=True)
    assert [status for status, _ in got] == [200] * 6


@pytest.mark.parametrize("left_out", [1, -100])
def test_a_half_closed_post_without_its_whole_body_gets_400(exchange, cat_photo, left_out):
    *earlier, last = exchange(LIVEZ + post(cat_photo) + cat_photo[:-left_out], half_close=True)
    assert [status for status, _ in earlier] == [200]
    assert problem_of([last]) == (400, "bad_request")


def test_a_half_closed_head_gets_400(exchange):
    assert problem_of(exchange(LIVEZ[:-2], half_close=True)) == (400, "bad_request")


def test_a_half_closed_idle_connection_is_closed(exchange):
    assert exchange(half_close=True) == []
    assert [status for status, _ in exchange(LIVEZ, half_close=True)] == [200]


@pytest.mark.parametrize("headers", [["Connection: close"], []], ids=["close", "keep-alive"])
def test_a_body_that_is_too_large_gets_its_413_and_no_reset(exchange, headers):
    body = bytes(30_000_000)
    request = post(body, *headers) + body
    assert problem_of(exchange(request, end=False)) == (413, "too_many_bytes")


def test_photos_of_clients_that_have_left_are_not_classified(start, cat_photo):
    """A client that closes its connection looks as if it had closed only its side."""
    server = start(HUBEL_QUEUE_WAIT_S="60", HUBEL_DEADLINE_S="120")
    request = post(cat_photo) + cat_photo
    # Several times the work of the moment until they are noticed; a pause of this process would
    # let the service classify those sent before, so they leave together.
    photos = 40 * available_cores()
    with contextlib.ExitStack() as stack:
        for _ in range(photos):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=120)
            stack.enter_context(connection).sendall(request)
    deadline = time.monotonic() + 120
    while True:
        metrics = httpx.get(f"http://127.0.0.1:{server.port}/metrics", timeout=60).text
        gone = value_of(metrics, 'hubel_rejections_total{code="client_gone"}')
        classified = value_of(metrics, 'hubel_images_total{model="imagenet",version="1"}')
        if gone + classified >= photos:
            break
        assert time.monotonic() < deadline, (gone, classified)
    assert gone > photos / 8


def value_of(metrics, name):
    match = re.search(rf"^{re.escape(name)} (\S+)", metrics, re.MULTILINE)
    return float(match[1]) if match else 0
