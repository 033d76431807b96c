"""Expositions of the metrics: one at a time, shared, and never older than their requests."""

import asyncio
import threading
import time

import pytest

from app.api.scrapes import Scrapes


class Maker:
    """Makes numbered expositions and records when each began and ended, and on which thread."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.times = []
        self.threads = set()

    def __call__(self, _="text"):
        began = time.monotonic()
        time.sleep(self.seconds)
        self.threads.add(threading.current_thread())
        self.times.append((began, time.monotonic()))
        return b"%d" % len(self.times)


def test_requests_that_wait_share_one_exposition():
    maker = Maker(0.01)

    async def run():
        scrapes = Scrapes(maker)
        return await asyncio.gather(*(scrapes.exposition("text") for _ in range(200)))

    assert set(asyncio.run(run())) == {b"1"}
    assert threading.main_thread() not in maker.threads


def test_a_request_never_gets_an_exposition_that_began_before_it():
    maker = Maker(0.02)

    async def run():
        scrapes = Scrapes(maker)

        async def one(delay_s):
            await asyncio.sleep(delay_s)
            asked = time.monotonic()
            number = int(await scrapes.exposition("text"))
            return asked, maker.times[number - 1][0]

        return await asyncio.gather(*(one(i * 0.005) for i in range(60)))

    assert all(asked <= began for asked, began in asyncio.run(run()))
    assert len(maker.times) < 20


def test_expositions_rest_in_between_so_that_their_cost_is_bounded():
    maker = Maker(0.01)

    async def run():
        scrapes = Scrapes(maker)
        for _ in range(4):
            await scrapes.exposition("text")

    asyncio.run(run())
    for (began, ended), (next_began, _) in zip(maker.times, maker.times[1:], strict=False):
        assert next_began - ended >= 5 * (ended - began)


def test_a_client_that_leaves_ends_no_exposition():
    maker = Maker(0.05)

    async def run():
        scrapes = Scrapes(maker)
        leaving = asyncio.create_task(scrapes.exposition("text"))
        staying = asyncio.create_task(scrapes.exposition("text"))
        await asyncio.sleep(0.01)
        leaving.cancel()
        return await staying

    assert asyncio.run(run()) == b"1"


def test_a_failed_exposition_is_not_the_last():
    results = [RuntimeError("a collector failed"), b"text"]

    def make(_):
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    async def run():
        scrapes = Scrapes(make)
        with pytest.raises(RuntimeError):
            await scrapes.exposition("text")
        return await scrapes.exposition("text")

    assert asyncio.run(run()) == b"text"
