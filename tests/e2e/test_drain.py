"""SIGTERM under load: every request on an open connection gets its response."""

import time

import httpx
import pytest

pytestmark = pytest.mark.e2e


def test_sigterm_in_the_middle_of_200_photos_loses_no_response(start, load):
    server = start()

    def terminate_at_half(number: int) -> None:
        if number == 100:
            server.terminate()

    outcomes = load(server.port, 200, terminate_at_half)

    assert outcomes == {"200": 200}
    assert server.wait() == 0


@pytest.mark.parametrize("round_", range(3))
def test_no_connection_is_reset_when_the_listener_closes_under_load(start, load, round_):
    server = start(HUBEL_DRAIN_S="0.3")

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
