"""Kill a service that captures, is taught and trains, at random moments; check what it leaves.

    python -m benchmarks.hardening.loop_kills --photos DIR [--moments 30] [--seed 0]

    a service with every photo captured, a dataset of DIR (a folder for each label) and a model
    -> photos are posted and labelled; a job trains, or an interrupted one is resumed
    -> SIGKILL after a random time, or as soon as a file of the job or of its promotion exists
    -> no process of the job goes on; every bundle in the models folder is whole; a version whose
       job hasn't ended well is held back
    -> the service starts again: every label that was acknowledged is there, the job is
       interrupted or has ended, nothing unfinished lies in the models folder
    a last job ends well

The exit status is 1 if a check failed.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from app import bundle as bundles
from app.errors import BundleError
from benchmarks.serving.process import free_port
from benchmarks.training_job import write_dataset

_PAUSE_S = 0.5
"""Between two photos: a job trains on all that are labelled, and is to take seconds."""
_KEY = {"X-API-Key": "loop"}
_MODEL = "taught"
_START_S, _ORPHAN_S, _JOB_S = 120, 5, 600
FILES = (
    "data/jobs/*/job.json",
    "data/jobs/*/work/photos",
    "data/jobs/*/work/.bundle.*.building",
    "data/jobs/*/work/bundle",
    "data/jobs/*/work/result.json",
    f"models/{_MODEL}/.*.installing",
    f"models/{_MODEL}/[0-9]*",
    "models/pins.json",
)
"""Files that appear, or change, while a job runs and its version is promoted."""


class Failed(Exception):
    """A check failed."""


class LoopService:
    """A service on the folders below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        variables = {
            "HUBEL_DATA_DIR": str(folder / "data"),
            "HUBEL_MODELS": str(folder / "models"),
            "HUBEL_ADMIN_KEY": "loop",
            "HUBEL_CAPTURE": "sample:1",
            "HUBEL_PORT": self.url.rpartition(":")[2],
            "HUBEL_DEFAULT_MODEL": "imagenet",
        }
        with (folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from app.cli import main; main()", "serve"],
                env={**os.environ, **variables},
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + _START_S
        while not self._is_alive():
            if self.process.poll() is not None or time.monotonic() > until:
                raise Failed("the service doesn't start; see log.txt")
            time.sleep(0.05)

    def _is_alive(self) -> bool:
        with suppress(OSError):
            self.request("GET", "/livez")
            return True
        return False

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of a response, or None."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, _KEY, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            text = response.read()
        return json.loads(text) if text[:1] in (b"{", b"[") else None

    def kill(self) -> None:
        """End the service as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Teacher:
    """Posts and labels photos on a thread, and remembers what was acknowledged."""

    def __init__(self, service: LoopService, acknowledged: dict[int, str], seed: int) -> None:
        self._service = service
        self._acknowledged = acknowledged
        self._random = random.Random(seed)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until it has noticed that the service is gone."""
        self._thread.join()

    def _run(self) -> None:
        with suppress(OSError, urllib.error.URLError, ValueError):
            while True:
                self._service.request("POST", "/api/v1/classify", self._photo())
                listed = self._service.request("GET", "/api/v1/captures?labelled=false&count=5")
                for capture in listed["captures"]:
                    label = self._random.choice(["cat", "dog"])
                    path = f"/api/v1/captures/{capture['id']}"
                    self._service.request("PATCH", path, {"label": label})
                    self._acknowledged[capture["id"]] = label
                time.sleep(_PAUSE_S)

    def _photo(self) -> bytes:
        file = BytesIO()
        colour = tuple(self._random.randrange(256) for _ in range(3))
        Image.new("RGB", (64, 64), colour).save(file, "JPEG")
        return file.getvalue()


def processes_of(folder: Path) -> list[int]:
    """Return the processes of jobs below `folder` that are running."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"job" in words and any(word.startswith(os.fsencode(folder)) for word in words):
                found.append(int(process.name))
    return found


def check_after_kill(folder: Path) -> None:
    """Check what lies on the disk, and that no process goes on.

    Raises:
        Failed: something is wrong.
    """
    until = time.monotonic() + _ORPHAN_S
    while left := processes_of(folder):
        if time.monotonic() > until:
            raise Failed(f"processes {left} of a job go on without their service")
        time.sleep(0.05)
    for bundle in _versions(folder):
        try:
            bundles.verify_files(bundles.load(bundle))
        except BundleError as err:
            raise Failed(f"{bundle} is half a bundle: {err}") from err
    pins = folder / "models" / "pins.json"
    held = json.loads(pins.read_text()) if pins.exists() else {}
    held = held.get("models", {}).get(_MODEL, {}).get("held", [])
    done = {
        job["result"]["version"]
        for job in _records(folder)
        if job["state"] == "done" and job["result"]["outcome"] == "promoted"
    }
    serving = {int(bundle.name) for bundle in _versions(folder)} - set(held)
    if len(serving - done) > 1:  # one may have been promoted just before its record was written
        raise Failed(f"versions {sorted(serving - done)} would serve, and their jobs aren't done")


def check_after_start(service: LoopService, acknowledged: dict[int, str]) -> None:
    """Check that labels are there, and that nothing unfinished is left.

    Raises:
        Failed: something is wrong.
    """
    for id, label in acknowledged.items():
        capture = service.request("GET", f"/api/v1/captures/{id}")
        if capture["labels"] != [label]:
            raise Failed(f"the label {label} of capture {id} is lost: {capture['labels']}")
    if left := list(service.folder.glob("models/*/.*.installing")):
        raise Failed(f"{left} is left")
    states = [job["state"] for job in service.request("GET", "/api/v1/jobs")["jobs"]]
    if "running" in states and states.count("running") > 1:
        raise Failed(f"two jobs run: {states}")


def _versions(folder: Path) -> list[Path]:
    return sorted((folder / "models" / _MODEL).glob("[0-9]*"))


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    for file in (folder / "data" / "jobs").glob("*/job.json"):
        yield json.loads(file.read_text())


def stamps(folder: Path, pattern: str) -> dict[Path, tuple[int, int]]:
    """Return the files that a pattern finds, each with what changes when it is replaced."""
    found = {}
    for path in folder.glob(pattern):
        with suppress(OSError):
            status = path.stat()
            found[path] = (status.st_mtime_ns, status.st_ino)
    return found


def wait_for_moment(moment: float | str, folder: Path, is_over: Callable[[], bool]) -> None:
    """Wait some seconds, or until a file appears or is replaced, or until the job is over."""
    began = time.monotonic()
    before = stamps(folder, moment) if isinstance(moment, str) else {}
    while time.monotonic() < began + _JOB_S:
        if isinstance(moment, float):
            if time.monotonic() >= began + moment:
                return
        elif stamps(folder, moment) != before or is_over():
            return
        time.sleep(0.01)


def start_job(service: LoopService) -> str:
    """Resume the newest job if it was interrupted, or start one; return its id."""
    jobs = service.request("GET", "/api/v1/jobs")["jobs"]
    if jobs and jobs[0]["can_resume"]:
        id: str = service.request("POST", f"/api/v1/jobs/{jobs[0]['id']}/resume")["id"]
        return id
    if jobs and jobs[0]["state"] in ("queued", "running"):
        return str(jobs[0]["id"])
    train = {"dataset": "photos", "model": _MODEL, "options": {"min_photos": 3}}
    return str(service.request("POST", "/api/v1/jobs", {"train": train})["id"])


def run(photos: Path, folder: Path, moments: int, seed: int) -> Counter[str]:
    """Kill the service at all moments; return the states of the jobs at the end.

    Raises:
        Failed: a check failed.
    """
    chooser = random.Random(seed)
    acknowledged: dict[int, str] = {}
    for name in ("data", "models"):
        (folder / name).mkdir()
    write_dataset(photos, folder / "data" / "datasets" / "photos")
    service = LoopService(folder)
    for number in range(moments):
        moment: float | str = (
            chooser.uniform(0.1, 40.0) if number % 2 else FILES[number // 2 % len(FILES)]
        )
        teacher = Teacher(service, acknowledged, seed + number)
        waiting = threading.Thread(
            target=wait_for_moment, args=(moment, folder, lambda: False), daemon=True
        )
        waiting.start()
        start_job(service)
        waiting.join()
        service.kill()
        teacher.join()
        check_after_kill(folder)
        service = LoopService(folder)
        check_after_start(service, acknowledged)
        shown = moment if isinstance(moment, str) else f"{moment:.1f} s"
        print(f"{number + 1:3} {shown:36} {len(acknowledged)} labels kept", flush=True)
    try:
        id = start_job(service)
        while (job := service.request("GET", f"/api/v1/jobs/{id}"))["state"] in _RUNNING:
            time.sleep(0.2)
        if job["state"] != "done":
            raise Failed(f"the last job is {job['state']}: {job['problem']}")
    finally:
        service.kill()
    return Counter(job["state"] for job in _records(folder))


_RUNNING = ("queued", "running")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each moment, and the states of the jobs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--moments", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            states = run(options.photos, Path(temporary), options.moments, options.seed)
        except Failed as err:
            log = Path(temporary, "log.txt").read_text(errors="replace")[-4000:]
            sys.exit(f"FAILED: {err}\n{log}")
    print(f"all checks passed; jobs: {dict(states)}")


if __name__ == "__main__":
    main()
