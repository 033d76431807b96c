"""Kill `hubel train` at random moments, and check that each leaves a whole bundle.

    python -m benchmarks.hardening.training_kills [--moments 20] [--seed 0]

    a run that nothing disturbs -> the old bundle, and the seconds that a run takes
    runs of the next versions   -> SIGKILL at a random moment, or as soon as a file exists
                                -> the old bundle or the new one, and all its files as it says
    a last run                  -> ends well; nothing is left of the killed ones

`stops` is the short form for tests: one run is stopped before each change that it makes to files
beside its output, and goes on. What lies on the disk while a process is stopped is what it would
leave if it were killed then.

The exit status is 1 if a bundle was damaged or something was left.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from PIL import Image

from app import bundle as bundles
from app.errors import BundleError

ROOT = Path(__file__).resolve().parents[2]
NAME = "pets"
_HUES = {"red": (1.0, 0.3, 0.2), "green": (0.2, 1.0, 0.3)}
_PHOTOS_PER_LABEL = 12
_LOOK_EVERY_S = 0.002
_LAST_VERSION = 1000
_BUILDING, _REPLACED = f".{NAME}.*.building", f".{NAME}.*.replaced"
FILES = (
    f"{_BUILDING}/model.onnx",
    f"{_BUILDING}/report/*",
    f"{_BUILDING}/{bundles.MANIFEST}",
    _REPLACED,
)
"""Files of a run, in the order in which they appear beside its output."""
Moment = float | str
"""A share of the time that a run takes, or the pattern of a file that has just appeared."""


def write_photos(folder: Path) -> None:
    """Write a few photos of two labels, red and green."""
    for number, (label, hue) in enumerate(_HUES.items()):
        (folder / label).mkdir(parents=True)
        for index in range(_PHOTOS_PER_LABEL):
            (folder / label / f"{index:02}.jpg").write_bytes(_photo(hue, 100 * number + index))


def _photo(hue: tuple[float, float, float], seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(40, 256, (6, 6, 1))
    pixels = (noise * np.array(hue)).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


_RUN = "from app.cli import main; main()"
_STOPS = """
import os, signal, sys
folder, process = os.environ["STOP_BESIDE"], os.getpid()
changes = {"os.mkdir", "os.remove", "os.rename", "os.rmdir"}

def stop(event, arguments):
    is_change = event in changes or event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if not is_change or os.getpid() != process:
        return
    is_relative = event != "open" and arguments[-1] != -1
    if is_relative or os.fsdecode(arguments[0]).startswith(folder):
        os.kill(process, signal.SIGSTOP)

sys.addaudithook(stop)
"""
"""Code before a run, which stops it before it makes, opens to write, renames or removes a file in a
folder, or one that is named relative to an open folder.
https://docs.python.org/3/library/audit_events.html"""


def train(
    data: Path, output: Path, version: int, program: str = _RUN, **options: Any
) -> "subprocess.Popen[str]":
    """Start a training run; `options` are those of Popen."""
    command = [sys.executable, "-c", program, "train", str(data)]
    command += ["--output", str(output), "--version", str(version)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, **pipes, **options)


def version_of_whole(folder: Path) -> int:
    """Return the version of a bundle, after checking each of its files.

    Raises:
        BundleError: the bundle or a file of it isn't whole.
    """
    bundle = bundles.load(folder)
    bundles.verify_files(bundle)
    return bundle.manifest.version


@dataclass(frozen=True)
class Left:
    """The files that a run has on the disk at a moment."""

    moment: Moment
    has_ended: bool
    """Whether the run ended before the moment."""
    problem: str | None


def kill_runs(data: Path, output: Path, moments: Sequence[Moment], run_s: float) -> Iterator[Left]:
    """Train version 2 and on into `output`, which has version 1; kill each run at its moment.

    Args:
        data: the photos.
        output: the bundle; nothing else is in its folder.
        moments: one for each run.
        run_s: the seconds that an undisturbed run takes.
    """
    for version, moment in enumerate(moments, start=2):
        clock = _Clock(output.parent, run_s)
        process = train(data, output, version)
        while process.poll() is None and not clock.has_come(moment):
            time.sleep(_LOOK_EVERY_S)
        process.kill()
        process.communicate()
        has_ended = process.returncode != -signal.SIGKILL
        yield Left(moment, has_ended, _problem(output, version))


@dataclass(frozen=True)
class Stop:
    """A run that is stopped, and the state of its files on the disk."""

    process: "subprocess.Popen[str]"
    files: frozenset[str]
    """The patterns of FILES that match a file."""
    problem: str | None
    """The fault of the bundle; None: it is whole."""


def stops(data: Path, output: Path, version: int) -> Iterator[Stop]:
    """Train one version, and stop the run before each change to files beside `output`. Linux only.

    A stopped process may be killed; the run is over then. It is also over when it has ended.
    """
    environment = {**os.environ, "STOP_BESIDE": f"{output.parent}/"}
    process = train(data, output, version, _STOPS + _RUN, env=environment)
    while _waits(process):
        present = frozenset(pattern for pattern in FILES if list(output.parent.glob(pattern)))
        yield Stop(process, present, _problem(output, version))
        process.send_signal(signal.SIGCONT)
    process.communicate()


def _waits(process: "subprocess.Popen[str]") -> bool:
    """Wait until the process is stopped, or has ended; return whether it is stopped."""
    state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if state is None or state.si_code != os.CLD_STOPPED:
        return False
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    return True


class _Clock:
    """Tells which moments of a run have come.

    Args:
        folder: the folder of the run's output.
        run_s: the seconds that an undisturbed run takes.
    """

    def __init__(self, folder: Path, run_s: float) -> None:
        self._folder, self._run_s = folder, run_s
        self._old = {path for pattern in FILES for path in folder.glob(pattern)}
        self._began = time.monotonic()

    def has_come(self, moment: Moment) -> bool:
        if isinstance(moment, str):
            return any(path not in self._old for path in self._folder.glob(moment))
        return time.monotonic() - self._began > moment * self._run_s


def _problem(output: Path, newest: int) -> str | None:
    """Return what is wrong with the bundle: it stands in its place, or beside it while replaced."""
    found = [output] if output.exists() else list(output.parent.glob(_REPLACED))
    if len(found) != 1:
        return f"there are {len(found)} bundles"
    try:
        version = version_of_whole(found[0])
    except BundleError as err:
        return str(err)
    return None if 1 <= version <= newest else f"its version is {version}"


def random_moments(count: int, seed: int) -> list[Moment]:
    """Return `count` random shares of the time that a run takes."""
    rng = random.Random(seed)
    return [rng.uniform(0.05, 1) for _ in range(count)]


@click.command()
@click.option("--moments", default=20, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
def main(moments: int, seed: int) -> None:
    """Kill training runs at random moments, and print what each left."""
    with TemporaryDirectory() as folder:
        data, output = Path(folder, "data"), Path(folder, "models", NAME)
        write_photos(data)
        began = time.monotonic()
        _run_to_its_end(data, output, 1)
        run_s = time.monotonic() - began
        killed = []
        at = [*random_moments(moments, seed), *FILES]
        for run in kill_runs(data, output, at, run_s):
            killed.append(run)
            moment = run.moment if isinstance(run.moment, str) else f"{run.moment:.0%} of the time"
            state = "ended before" if run.has_ended else "killed"
            print(f"{moment}: {state}, {run.problem or 'the bundle is whole'}", flush=True)
        _run_to_its_end(data, output, _LAST_VERSION)
        left = sorted(set(os.listdir(output.parent)) - {NAME})
        version = version_of_whole(output)
    damaged = [run for run in killed if run.problem]
    ended = sum(run.has_ended for run in killed)
    print(
        f"a run takes {run_s:.1f} s; {len(killed) - ended} killed, {ended} ended before; "
        f"{len(damaged)} damaged; left beside the bundle: {', '.join(left) or 'nothing'}"
    )
    sys.exit(bool(damaged or left or version != _LAST_VERSION))


def _run_to_its_end(data: Path, output: Path, version: int) -> None:
    process = train(data, output, version)
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(said)


if __name__ == "__main__":
    main()
