"""The end of a server and its limits: SIGTERM under load, a second signal, open files."""

import contextlib
import http.client
import shutil
import signal
import socket
import time
from collections import Counter

import httpx
import pytest

pytestmark = pytest.mark.e2e


def test_sigterm_in_the_middle_of_200_photos_loses_no_response(start, load):
    server = start(HUBEL_QUEUE_WAIT_S="9")  # a busy machine takes long for 32 clients

    def terminate_at_half(number: int) -> None:
        if number == 100:
            server.terminate()

    outcomes = load(server.port, 200, terminate_at_half)

    assert outcomes == {"200": 200}
    assert server.wait() == 0


@pytest.mark.parametrize("round_", range(3))
def test_no_connection_is_reset_when_the_listener_closes_under_load(start, load, round_):
    server = start(HUBEL_DRAIN_S="0.3", HUBEL_QUEUE_WAIT_S="9")

    def terminate_early(number: int) -> None:
        if number == 60:
            server.terminate()

    outcomes = load(server.port, 5000, terminate_early)

    assert set(outcomes) == {"200", "not connected"}
    assert server.wait() == 0


def test_while_draining_readyz_is_503_and_responses_close_their_connections(start, cat_photo):
    server = start(HUBEL_DRAIN_S="2")
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert client.get("/readyz").status_code == 200
        server.terminate()
        deadline = time.monotonic() + 2
        while (ready := client.get("/readyz")).status_code == 200:
            assert time.monotonic() < deadline
        assert ready.status_code == 503
        assert ready.json()["status"] == "draining"
        response = client.post("/api/v1/classify", content=cat_photo)
        assert response.status_code == 200
        assert response.headers["connection"] == "close"
    assert server.wait() == 0


def test_idle_connections_do_not_keep_the_process_alive(start, raw_client, cat_photo):
    server = start(HUBEL_DRAIN_S="0")
    client = raw_client(server.port, cat_photo)
    assert client.post() == "200"
    server.terminate()
    assert server.wait() == 0
    client.close()


@pytest.mark.parametrize("gap_s", [0.05, 0.3])
@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT)],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_second_signal_ends_the_process_without_a_traceback(
    start, cat_photo, first, second, gap_s
):
    server = start(HUBEL_DRAIN_S="30")
    head = f"POST /api/v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: {len(cat_photo)}\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for number in range(30):
            connection = socket.create_connection(("127.0.0.1", server.port))
            stack.enter_context(connection)
            body = cat_photo[:-1] if number % 3 == 0 else cat_photo  # some bodies never end
            connection.sendall(head.encode() + body)
        server.popen.send_signal(first)
        time.sleep(gap_s)
        server.popen.send_signal(second)
        assert server.wait() == 0
    log = server.log()
    assert not [line for line in log if "traceback" in line or line["level"] == "error"]
    assert any("requests are dropped" in str(line["message"]) for line in log)


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed")
def test_at_the_limit_of_open_files_new_connections_get_503_and_later_ones_are_served(start):
    server = start("prlimit", "--nofile=64:64", HUBEL_ADMIN_KEY="secret")
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            for _ in range(100)
        ]
        statuses = Counter(map(probe, connections))
        # Files are left for a model that is loaded meanwhile.
        assert send(connections[0], RELOAD) == "200"
    assert statuses["200"] == 32
    assert set(statuses) <= {"200", "503", "closed"}
    deadline = time.monotonic() + 10
    while True:  # the closed connections are noticed in a moment
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            if probe(connection) == "200":
                break
        assert time.monotonic() < deadline
    server.terminate()
    assert server.wait() == 0
    warnings = [line for line in server.log() if line["level"] == "warning"]
    assert ["open files" in str(line["message"]) for line in warnings] == [True]


RELOAD = (
    b"POST /api/v1/models/imagenet/reload HTTP/1.1\r\nHost: a\r\n"
    b"Authorization: Bearer secret\r\nContent-Length: 0\r\n\r\n"
)


def probe(connection):
    """Return the status of /livez, or 'closed'."""
    return send(connection, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")


def send(connection, request):
    """Return the status of the response, which is read to its end, or 'closed'."""
    try:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        response.read()
    except (OSError, http.client.HTTPException):
        return "closed"
    return str(response.status)


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed")
def test_the_soft_limit_of_open_files_is_raised(start):
    server = start("prlimit", "--nofile=100:2000")
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            for _ in range(200)
        ]
        assert set(map(probe, connections)) == {"200"}
