"""Damaged images are decoded or refused, within the memory and time of what they announce."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from app import vision
from app.errors import BrokenImage, InputError, OutOfMemory
from benchmarks.hardening import mutations
from benchmarks.hardening.damage_check import MAX_COST, Checker
from benchmarks.hardening.images import pillow
from benchmarks.hardening.mutants import KINDS, mutant, seed_files

COUNT = 5000
LIMITS = vision.Limits(max_bytes=1 << 26, max_pixels=4_000_000)
CLEAR_REFS = Path("/proc/self/clear_refs")

pytestmark = pytest.mark.skipif(
    not CLEAR_REFS.exists(), reason="needs Linux: the peak is reset for each file"
)


@pytest.mark.slow
def test_five_thousand_mutants_are_decoded_or_refused_within_their_limits():
    command = [sys.executable, "-m", "benchmarks.hardening.mutations", "--json"]
    limits = ["--count", str(COUNT), "--max-pixels", str(LIMITS.max_pixels)]
    run = subprocess.run([*command, *limits], check=False, capture_output=True, text=True)
    assert run.stdout, run.stderr
    report = json.loads(run.stdout)
    assert report["findings"] == []
    assert run.returncode == 0
    assert sum(report["outcomes"].values()) == COUNT
    # Neither do all fail at the first byte, nor are all as good as undamaged.
    assert report["outcomes"]["decoded"] > COUNT / 20
    assert report["outcomes"]["broken_image"] > COUNT / 5
    assert set(report["kinds"]) == set(KINDS)
    assert COUNT > 10 * report["seed files"] > 2000


def test_a_mutant_is_the_same_for_the_same_number_and_differs_for_others():
    files = seed_files(100)
    assert mutant(files, 1, 7) == mutant(files, 1, 7)
    assert len({mutant(files, seed, 7).data for seed in range(20)}) > 10
    names = list(files)
    assert [mutant(files, 1, n).file for n in range(len(names))] == names


def test_every_seed_file_is_decoded_before_it_is_damaged():
    checker = Checker(LIMITS)
    files = seed_files(100)
    assert {name: checker.problem(data) for name, data in files.items()} == dict.fromkeys(files)
    assert checker.totals.outcomes == {"decoded": len(files)}


class FakeImage:
    """An opened file whose decoder misbehaves."""

    work = vision.Work(memory_bytes=8_000_000, cost=1)

    def __init__(self, misbehave):
        self.misbehave = misbehave

    def decode(self):
        self.misbehave()
        raise BrokenImage("It is broken.")


def raises(error):
    def misbehave():
        raise error

    return misbehave


def takes_memory():
    np.ones(100_000_000, np.uint8)  # more than the heap keeps from tests before


def takes_time():
    photo = pillow("JPEG", "RGB", (480, 480), quality=85)
    for _ in range(8 * MAX_COST):
        vision.decode(photo, LIMITS)


@pytest.mark.parametrize(
    ("misbehave", "problem"),
    [
        (raises(KeyError("x")), "raises"),
        (raises(OSError("cut short")), "raises"),
        (raises(RecursionError()), "raises"),
        (raises(OutOfMemory("There was no memory left.")), "raises"),
        (raises(InputError("It is bad.")), "raises"),
        (raises(BrokenImage("no sentence")), "raises"),
        (takes_memory, "MB; the estimate is 8.0 MB"),
        (takes_time, "times the CPU of a photo"),
        (lambda: None, None),
    ],
    ids=[
        "unexpected", "of-the-library", "recursion", "out-of-memory", "base-class", "no-sentence",
        "memory", "time", "none",
    ],
)  # fmt: skip
def test_what_a_decoder_must_not_do_is_found(monkeypatch, misbehave, problem):
    checker = Checker(LIMITS)
    bad = b"bad"
    read_header = vision.read_header

    def fake(data, limits):
        return FakeImage(misbehave) if data is bad else read_header(data, limits)

    monkeypatch.setattr(vision, "read_header", fake)
    found = checker.problem(bad)
    assert (found is None) == (problem is None)
    assert (problem or "") in (found or "")


def test_a_crash_is_found_and_the_mutants_after_it_are_still_checked():
    count = 600
    run = mutations.Run(mutations.Plan(seed=0, count=count, processes=1, max_pixels=1_000_000))
    found = []
    reader = threading.Thread(target=lambda: found.extend(run.findings()))
    reader.start()
    while not run.workers:
        time.sleep(0.001)
    (worker,) = run.workers.values()
    while worker.progress.value < 10:
        time.sleep(0.001)
    os.kill(worker.process.pid, signal.SIGSEGV)
    reader.join()
    ((number, problem),) = [(finding.number, finding.problem) for finding in found]
    assert problem == "ends the process (status -11)"
    assert number >= 10
    assert sum(run.totals.outcomes.values()) == count - number - 1
