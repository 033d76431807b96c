"""The upper limit on this machine: Hubel's data flow without HTTP, one thread per core."""

import threading
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

from app import vision
from app.runtime.classifier import Query, classify
from app.runtime.host import available_cores
from app.runtime.loaded_model import Model, load_model

_LIMITS = vision.Limits(max_bytes=1 << 30, max_pixels=1 << 30)


class Limit:
    """A model in this process."""

    def __init__(self, bundle: Path) -> None:
        self._model: Model = load_model(bundle, "cpu")

    def measure(self, bodies: Path, seconds: float) -> tuple[float, float]:
        """Return images per second and CPU milliseconds per image, on all cores for `seconds`."""
        photos = [file.read_bytes() for file in sorted(bodies.iterdir())]
        done = [0] * available_cores()
        end = time.perf_counter() + seconds

        def work(thread: int) -> None:
            while time.perf_counter() < end:
                photo = photos[(thread * 7 + done[thread]) % len(photos)]
                classify(photo, self._model, Query(), _LIMITS)
                done[thread] += 1

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(done))]
        began, cpu_began = time.perf_counter(), time.process_time()
        with threadpool_limits(1, user_api="blas"):  # like the engine
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu_began
        return sum(done) / elapsed, cpu / sum(done) * 1e3
