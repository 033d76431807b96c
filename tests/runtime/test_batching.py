"""Batches: each caller gets the rows that its image would get alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import bundle as bundles
from app.runtime.batching import MAX_IMAGES, Batches, sizes, threads_for
from app.runtime.loaded_model import Model, _batches
from app.runtime.session import Session


def image(number):
    return np.full((2, 2, 3), number, np.uint8)


class Device:
    """A slow device that records its batches; it fails if a batch holds 13."""

    def __init__(self, seconds=0.0):
        self.batches = []
        self.may_run = threading.Event()
        self.may_run.set()
        self._seconds = seconds
        self._busy = threading.Lock()

    def __call__(self, images):
        assert self._busy.acquire(blocking=False), "two runs at once"
        try:
            assert self.may_run.wait(120)
            time.sleep(self._seconds)
            numbers = images[:, 0, 0, 0]
            self.batches.append(numbers.tolist())
            if 13 in numbers:
                raise ValueError("the device failed")
            return [numbers.astype(np.float32) * 2, numbers.astype(np.float32) + 0.5]
        finally:
            self._busy.release()


def test_batch_sizes_are_powers_of_two_up_to_the_limit():
    assert sizes(32) == [1, 2, 4, 8, 16, 32]
    assert sizes(20) == [1, 2, 4, 8, 16]
    assert sizes(1) == [1]


def test_a_cpu_gets_one_thread_more_than_cores_and_a_gpu_a_batch_more():
    assert threads_for("cpu", 4, capped=False) == 5
    assert threads_for("cpu", 4, capped=True) == 4
    assert threads_for("cuda", 4, capped=False) == 4 + MAX_IMAGES


def test_an_idle_device_runs_one_image_at_once():
    device = Device()
    assert [float(row) for row in Batches(device).run(image(7))] == [14, 7.5]
    assert device.batches == [[7]]


def queued_behind_one(batches, device, pool, numbers):
    """Run the image 1, and `numbers` once all of them wait for it; return their futures."""
    device.may_run.clear()
    first = pool.submit(batches.run, image(1))
    while not batches._is_busy:
        time.sleep(0.001)
    others = [pool.submit(batches.run, image(n)) for n in numbers]
    while len(batches._waiting) < len(others):
        time.sleep(0.001)
    device.may_run.set()
    return first, others


def test_images_that_queue_while_the_device_is_busy_run_together():
    device = Device()
    batches = Batches(device)
    with ThreadPoolExecutor(8) as pool:
        first, others = queued_behind_one(batches, device, pool, (2, 3, 4, 5, 6))
        assert [float(f.result(30)[0]) for f in (first, *others)] == [2, 4, 6, 8, 10, 12]
    alone, together = device.batches
    assert alone == [1]
    assert len(together) == 8  # the next size; the last one is repeated
    assert set(together) == {2, 3, 4, 5, 6}


@settings(max_examples=30, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 255).filter(lambda n: n != 13), min_size=1, max_size=60),
    threads=st.integers(1, 12),
    max_images=st.integers(1, 9),
)
def test_each_caller_gets_its_own_rows(numbers, threads, max_images):
    device = Device(seconds=0.0005)
    batches = Batches(device, max_images)
    with ThreadPoolExecutor(threads) as pool:
        actual = list(pool.map(lambda n: [float(r) for r in batches.run(image(n))], numbers))
    assert actual == [[n * 2, n + 0.5] for n in numbers]
    assert {len(batch) for batch in device.batches} <= set(sizes(max_images))


@pytest.mark.parametrize("others", [(13, 3, 4), (3, 13, 13, 4, 5), (13, 13, 13)])
def test_in_a_batch_that_fails_only_the_images_at_fault_get_an_error(others):
    device = Device()
    batches = Batches(device)
    with ThreadPoolExecutor(8) as pool:
        first, futures = queued_behind_one(batches, device, pool, others)
        for number, future in zip(others, futures, strict=True):
            if number == 13:
                assert isinstance(future.exception(30), ValueError)
            else:
                assert float(future.result(30)[0]) == number * 2
        assert float(first.result(30)[0]) == 2
    assert len(device.batches[1]) == (4 if len(others) < 5 else 8)
    assert float(batches.run(image(4))[0]) == 8


def test_every_batch_size_is_warmed():
    device = Device()
    Batches(device, 8).warm(image(3))
    assert [len(batch) for batch in device.batches] == [1, 2, 4, 8]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_models_batched_probabilities_equal_its_single_ones(imagenet, precision):
    loaded = bundles.load(imagenet)
    session = Session(loaded.model_path(precision), "cpu", precision)
    single = Model(loaded, session)
    together = Model(loaded, session, batches=_batches(session, loaded))
    images = np.random.default_rng(5).integers(0, 256, (6, 240, 240, 3), np.uint8)
    with ThreadPoolExecutor(6) as pool:
        batched = list(pool.map(lambda i: together.run(i)[0], images))
    for row, photo in zip(batched, images, strict=True):
        assert np.abs(row - single.run(photo)[0]).max() < 1e-5
