"""What the package `limits` costs, beside `app.api.moving_window`.

    pip install limits==5.8.0 --target FOLDER
    PYTHONPATH=.:FOLDER python -m benchmarks.limits_package

For each: the time to count a request and to read what is left, the threads that are started at 400
requests a second, and whether a key is refused long after the system's clock was set back.
"""

import importlib
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from app.api.moving_window import MovingWindow
from benchmarks.processor import describe

_QUOTA = 60_000
_REQUESTS = 800
_PAUSE_S = 0.0025
_HOUR_S = 3600.0


def of_the_package(quota: int, window_s: int) -> Callable[[], bool]:
    """Return a function that counts one request by the package's moving window in memory."""
    limits: Any = importlib.import_module("limits")
    limiter = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())
    item = limits.RateLimitItemPerSecond(quota, window_s)

    def count() -> bool:
        limiter.get_window_stats(item, "key")
        return bool(limiter.hit(item, "key"))

    return count


def of_this_service(quota: int, window_s: int) -> Callable[[], bool]:
    """Return a function that counts one request by the service's own window."""
    window = MovingWindow(window_s)

    def count() -> bool:
        window.left(quota), window.next_release_s()
        if window.wait_s(1, quota):
            return False
        window.take(1)
        return True

    return count


def measure(count: Callable[[], bool]) -> tuple[float, float]:
    """Return the median seconds of `count`, and the threads that are started in a second."""
    times, started, start = [], [], threading.Thread.start

    def counted(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    with mock.patch.object(threading.Thread, "start", counted):
        for _ in range(_REQUESTS):
            began = time.perf_counter()
            count()
            times.append(time.perf_counter() - began)
            time.sleep(_PAUSE_S)
    return statistics.median(times), len(started) / (_REQUESTS * _PAUSE_S)


def is_refused_after_the_clock_is_set_back(count: Callable[[], bool]) -> bool:
    """Return whether a limit of one a second refuses long after its second has passed."""
    count()
    clock = time.time
    with mock.patch("time.time", side_effect=lambda: clock() - _HOUR_S):
        time.sleep(1.5)
        return not count()


def main() -> None:
    """Measure both."""
    print(describe())
    for make in (of_the_package, of_this_service):
        median_s, threads_per_s = measure(make(_QUOTA, 60))
        refused = is_refused_after_the_clock_is_set_back(make(1, 1))
        print(
            f"{make.__name__}: {median_s * 1e6:.1f} us a request; {threads_per_s:.0f} threads a "
            f"second; refused after the clock is set back: {refused}"
        )


if __name__ == "__main__":
    main()
