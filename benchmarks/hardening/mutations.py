"""Decode damaged images and report each that raises, takes too much memory or time, or crashes.

    python -m benchmarks.hardening.mutations --count 200000 [--seed 0] [--processes 2]
                                             [--max-pixels 50000000] [--keep DIR] [--json]

    mutants, by number -> worker processes: `damage_check` -> findings and totals -> the report
                          a worker dies, or stands still: a finding; a new one takes its place

A mutant must be decoded or raise an `InputError`. Its memory must stay within the estimate of its
header. Its CPU time must stay within a multiple of that of an undamaged JPEG of 480 x 480 in the
same process, for each megapixel that it announces. The exit status is 1 if there are findings.
Linux only.
"""

import gc
import json
import multiprocessing
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import click
from threadpoolctl import threadpool_limits

from app import vision
from app.runtime.host import available_cores, return_large_blocks
from benchmarks.hardening.damage_check import Checker, Totals
from benchmarks.hardening.mutants import Mutant, mutant, seed_files
from benchmarks.processor import describe

_STANDSTILL_S = 120.0


@dataclass(frozen=True)
class Finding:
    """A mutant that must not behave as it does."""

    number: int
    file: str
    kinds: tuple[str, ...]
    problem: str


@dataclass(frozen=True)
class Plan:
    """The mutants of a run, shared out among worker processes."""

    seed: int
    count: int
    processes: int
    max_pixels: int

    def checker(self) -> Checker:
        """Return a checker with the plan's limits."""
        return Checker(vision.Limits(max_bytes=1 << 26, max_pixels=self.max_pixels))


def _work(plan: Plan, first: int, progress: Any, results: Connection) -> None:
    """Check every `processes`-th mutant from `first` on; send findings, and the totals last."""
    warnings.simplefilter("ignore")
    threadpool_limits(1, user_api="blas")
    return_large_blocks()
    files = seed_files()
    checker = plan.checker()
    for number in range(first, plan.count, plan.processes):
        progress.value = number
        made = mutant(files, plan.seed, number)
        checker.totals.kinds.update(made.kinds)
        if problem := checker.problem(made.data):
            results.send(Finding(number, made.file, made.kinds, problem))
            gc.collect()
    results.send(checker.totals)


@dataclass
class Worker:
    """A worker process, and the number of the mutant that it is at."""

    process: Any
    progress: Any
    results: Connection
    seen: int = -1


class Run:
    """The run of a plan: its findings, as they come, and its totals."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.totals = Totals()
        self._files = seed_files()
        self.workers: dict[Connection, Worker] = {}
        """The workers that run, by the connection that they send on."""

    def findings(self) -> Iterator[Finding]:
        """Yield each finding; when it ends, `totals` is complete."""
        for first in range(min(self.plan.processes, self.plan.count)):
            self._start(first)
        while self.workers:
            ready = wait(list(self.workers), timeout=_STANDSTILL_S)
            if not ready:
                yield from self._end_standing()
            for connection in ready:
                yield from self._receive(self.workers[connection])  # type: ignore[index]

    def mutant(self, number: int) -> Mutant:
        """Return a mutant of this run."""
        return mutant(self._files, self.plan.seed, number)

    def _start(self, first: int) -> None:
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        progress = context.Value("q", first, lock=False)
        process = context.Process(target=_work, args=(self.plan, first, progress, sender))
        process.start()
        sender.close()
        self.workers[receiver] = Worker(process, progress, receiver)

    def _receive(self, worker: Worker) -> Iterator[Finding]:
        try:
            message = worker.results.recv()
        except EOFError:
            worker.process.join()
            del self.workers[worker.results]
            if worker.process.exitcode:
                yield self._crash(worker, f"ends the process (status {worker.process.exitcode})")
            return
        if isinstance(message, Totals):
            self.totals.add(message)
        else:
            yield message

    def _end_standing(self) -> Iterator[Finding]:
        """End the workers that have been at the same mutant for the whole wait."""
        for worker in list(self.workers.values()):
            if worker.progress.value == worker.seen:
                worker.process.kill()
                worker.process.join()
                del self.workers[worker.results]
                yield self._crash(worker, f"takes more than {_STANDSTILL_S:.0f} s")
            worker.seen = worker.progress.value

    def _crash(self, worker: Worker, problem: str) -> Finding:
        number = worker.progress.value
        if number + self.plan.processes < self.plan.count:
            self._start(number + self.plan.processes)
        made = self.mutant(number)
        return Finding(number, made.file, made.kinds, problem)


def report(run: Run, findings: list[Finding], seconds: float) -> Mapping[str, Any]:
    """Return the figures of a run, for JSON."""
    totals = run.totals
    return {
        "mutants": run.plan.count,
        "seed files": len(seed_files()),
        "seconds": round(seconds, 1),
        "outcomes": dict(totals.outcomes.most_common()),
        "kinds": dict(totals.kinds.most_common()),
        "largest share of the estimated memory": round(totals.memory_share, 3),
        "longest time for a megapixel, in photos of 480 x 480": round(totals.cost, 1),
        "findings": [asdict(finding) for finding in findings],
    }


@click.command()
@click.option("--count", default=5000, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
@click.option("--processes", default=available_cores(), show_default="the cores")
@click.option("--max-pixels", default=50_000_000, show_default=True, help="The service's limit.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the mutants found.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
def main(
    count: int, seed: int, processes: int, max_pixels: int, keep: Path | None, as_json: bool
) -> None:
    """Check mutants of every format and mode, and print what was found."""
    began = time.monotonic()
    run = Run(Plan(seed, count, processes, max_pixels))
    findings = []
    for finding in run.findings():
        findings.append(finding)
        print(f"{finding.number} {finding.file}: {finding.problem}", file=sys.stderr)
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{seed}-{finding.number}").write_bytes(run.mutant(finding.number).data)
    figures = report(run, findings, time.monotonic() - began)
    if not as_json:
        print(describe())
    print(json.dumps(figures, indent=None if as_json else 2))
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
