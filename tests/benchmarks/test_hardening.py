"""The load generators count what a server does, at the rate that was asked for."""

import asyncio
import gzip

import pytest

from benchmarks.hardening import lanes, open_loop, probes


@pytest.fixture
def server():
    """Start a server that answers every second POST with 429, and run a coroutine beside it."""
    seen = []

    async def respond(reader, writer):
        while line := await reader.readline():
            length = 0
            while (header := await reader.readline()) != b"\r\n":
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            await reader.readexactly(length)
            seen.append(line)
            status = b"429 Too Many" if line.startswith(b"POST") and len(seen) % 2 else b"200 OK"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    async def serve(use):
        listener = await asyncio.start_server(respond, "127.0.0.1", 0)
        async with listener:
            result = await use(listener.sockets[0].getsockname()[1])
            await asyncio.sleep(0.05)  # connections end
            return result

    serve.seen = seen
    return serve


def test_the_open_loop_sends_at_its_rate_and_counts_responses_by_status(server, monkeypatch):
    monkeypatch.setattr(open_loop, "WARM_UP_S", 0.05)
    monkeypatch.setattr(open_loop, "_LAST_RESPONSES_S", 2.0)

    async def use(port):
        return await open_loop.run(f"http://127.0.0.1:{port}/x", b"photo", rate=400, seconds=0.5)

    load = asyncio.run(server(use))
    counts = {status: len(latencies) for status, latencies in load.latencies_ms.items()}
    assert counts.keys() == {200, 429}
    assert 100 < sum(counts.values()) < 320  # a Poisson process of 200
    assert abs(counts[200] - counts[429]) < 30
    assert load.lost == 0
    assert set(server.seen) == {b"POST /x HTTP/1.1\r\n"}
    assert min(latency for latencies in load.latencies_ms.values() for latency in latencies) > 0


def test_a_probe_records_a_latency_for_each_response(server):
    async def use(port):
        latencies_ms = []
        loop = asyncio.get_running_loop()
        end = open_loop.time.perf_counter() + 1.0
        await loop.run_in_executor(
            None, probes.probe, "127.0.0.1", port, "/livez", end, latencies_ms
        )
        return latencies_ms

    latencies_ms = asyncio.run(server(use))
    assert len(latencies_ms) == len(server.seen) >= 2


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 50, float("inf")),
        ([3.0], 99, 3.0),
        (list(range(100)), 50, 50),
        (list(range(100)), 99, 99),
    ],
    ids=["none", "one", "median", "p99"],
)
def test_percentiles_are_values_that_were_measured(values, percent, expected):
    assert open_loop.percentile(values, percent) == expected


def test_packed_hostile_files_are_unpacked(tmp_path):
    packed = tmp_path / "photo.jpg.gz"
    packed.write_bytes(gzip.compress(b"\xff\xd8"))
    below = lanes.unpack(packed, tmp_path / "unpacked")
    assert (below / "photo.jpg").read_bytes() == b"\xff\xd8"
