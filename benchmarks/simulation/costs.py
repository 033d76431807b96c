"""What a photo, a request and a refusal take of a core, measured at a running service.

    one client   -> Server-Timing: the times of photos, for the shape of their distribution
    32 clients   -> the processor's time of the engine's threads and of the event loop, a photo
    at five times the capacity -> that of the event loop, less that of the photos, a refusal

Times of threads are those of /proc, so that other processes don't count. Linux only.
"""

import json
import re
import statistics
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.hardening.open_loop import WARM_UP_S
from benchmarks.serving.process import ServerProcess

_TICKS_A_SECOND = 100
_STAGE = re.compile(r"(decode|resize|run);dur=([\d.]+)")
CALIBRATION_FACTOR = 5.0


@dataclass(frozen=True)
class Costs:
    """Seconds of one core."""

    photo_s: tuple[float, ...]
    """Of photos on the engine's threads: a sample of their distribution."""
    request_s: float
    """Of a request besides its photo: HTTP and Python, mostly on the event loop."""
    refusal_s: float
    """Of a response 429."""

    def with_photos_of(self, mean_s: float) -> "Costs":
        """Return the same with photos of another mean, whose distribution has the same shape."""
        scale = mean_s / statistics.mean(self.photo_s)
        return replace(self, photo_s=tuple(each * scale for each in self.photo_s))


def threads_s(pid: int) -> tuple[float, float]:
    """Return the seconds of processor time of the engine's threads, and of the event loop's.

    The event loop runs on the main thread; the others are nearly all the engine's.
    """
    engine = event_loop = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            stat = (task / "stat").read_text()
        except FileNotFoundError:  # the thread has ended
            continue
        fields = stat.rpartition(")")[2].split()
        seconds = (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
        if task.name == str(pid):
            event_loop += seconds
        else:
            engine += seconds
    return engine, event_loop


def images(url: str) -> float:
    """Return the number of images that the service has classified, by its own count."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as response:
        text = response.read().decode()
    return sum(map(float, re.findall(r"^hubel_images_total{.*} (\S+)$", text, re.M)))


def photo_times_s(url: str, photos: list[bytes], count: int = 200) -> list[float]:
    """Return the seconds of the stages of each of `count` photos, sent one after another."""
    times = []
    for number in range(count):
        request = urllib.request.Request(f"{url}/api/v1/classify", photos[number % len(photos)])
        with urllib.request.urlopen(request, timeout=60) as response:
            stages = _STAGE.findall(response.headers["Server-Timing"])
        times.append(sum(float(ms) for _, ms in stages) / 1e3)
    return times


def measure(
    server: ServerProcess, url: str, folder: Path, capacity: float, seconds: float
) -> Costs:
    """Return the costs of the photos in `folder`.

    Args:
        server: the running service.
        url: its address.
        folder: the photos.
        capacity: requests a second that it can do.
        seconds: the length of each load.
    """
    route = f"{url}/api/v1/classify"
    photos = [file.read_bytes() for file in sorted(folder.iterdir())]
    times = photo_times_s(url, photos)
    before, (engine, event_loop) = images(url), threads_s(server.pid)
    _run("benchmarks.serving.load", route, folder, 32, seconds, 0)
    engine_end, event_loop_end = threads_s(server.pid)
    done = images(url) - before
    photo_s, request_s = (engine_end - engine) / done, (event_loop_end - event_loop) / done
    first = sorted(folder.iterdir())[0]
    rate = CALIBRATION_FACTOR * capacity
    _, event_loop = threads_s(server.pid)
    loaded = _run("benchmarks.hardening.open_loop", route, first, rate, seconds)
    _, event_loop_end = threads_s(server.pid)
    # the figures are those of the measured part; the load ran for the warm-up, too
    share = (seconds + WARM_UP_S) / seconds
    counts = {status: each["count"] * share for status, each in loaded["statuses"].items()}
    refused = counts.get("429", 0.0)
    if not refused:
        raise SystemExit("No request was refused at five times the capacity. Load it with more.")
    photos_s = counts.get("200", 0.0) * request_s
    refusal_s = max(0.0, event_loop_end - event_loop - photos_s) / refused
    scale = photo_s / statistics.mean(times)
    return Costs(tuple(each * scale for each in times), request_s, refusal_s)


def _run(module: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result
