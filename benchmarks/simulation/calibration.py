"""Simulate one machine and measure it, at several times its capacity.

    python -m benchmarks.simulation.calibration --photos DIR [--factors 1 2 5 10] [--seconds 8]
                                                [--rounds 3] [--write FILE]

The costs are measured first (`costs`); the one for a refusal comes from a run at five times the
capacity, everything else from runs without refusals. Then each factor is measured as in
benchmarks/hardening/overload.py, and simulated with the cores that the load generator left, and
with the processor's time that a photo took in that run, since the speed of a processor changes from
minute to minute. Each round has other times of arrival. A row has the medians over the rounds.
`--write` keeps the costs for `cluster` and `plan`. Run it on a quiet machine. Linux only.
"""

import argparse
import json
import os
import random
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import simpy

from app.runtime.host import available_cores
from benchmarks.hardening import overload
from benchmarks.hardening.open_loop import WARM_UP_S
from benchmarks.processor import describe
from benchmarks.serving.process import ServerProcess
from benchmarks.simulation.costs import Costs, images, measure, threads_s
from benchmarks.simulation.machine import Machine, closed_loop, open_loop, percentile

_SEED = 1
_CLIENTS = 32
_COLUMNS = ("goodput/s", "200 p50 ms", "200 p99 ms", "429 share")


def capacity(costs: Costs, cores: int, seconds: float) -> float:
    """Return the simulated photos a second of 32 clients."""
    environment = simpy.Environment()
    machine = Machine(
        environment, costs, cores=cores, threads=cores + 1, random_numbers=random.Random(_SEED)
    )
    responses = closed_loop(machine, environment, _CLIENTS)
    environment.run(seconds)
    return responses.count(200) / seconds


def simulated(
    costs: Costs, cores: int, left: float, rate: float, seconds: float, seed: int = _SEED
) -> dict[str, float]:
    """Return the figures of a row, from the end of a warm-up on."""
    environment = simpy.Environment()
    numbers = random.Random(seed)
    others = max(0.0, cores - left)
    machine = Machine(
        environment, costs, cores=cores, threads=cores + 1, others=others, random_numbers=numbers
    )
    responses = open_loop(machine.request, environment, lambda now: rate, numbers)
    environment.run(WARM_UP_S)
    responses.latencies_s.clear()
    environment.run(WARM_UP_S + seconds)
    good, refused = (responses.latencies_s[status] for status in (200, 429))
    return {
        "goodput/s": len(good) / seconds,
        "200 p50 ms": percentile(good, 50) * 1e3,
        "200 p99 ms": percentile(good, 99) * 1e3,
        "429 share": len(refused) / max(1, len(good) + len(refused)),
    }


def _measure(
    process: ServerProcess, url: str, file: Path, factor: float, full: float, seconds: float
) -> dict[str, float]:
    """Overload the service; return the row with the seconds of a core that a photo took in it."""
    before, (engine, _) = images(url), threads_s(process.pid)
    row = overload.overload(process, url, file, factor, full, seconds)
    engine_end, _ = threads_s(process.pid)
    return {**row, "photo s": (engine_end - engine) / (images(url) - before)}


def _measured(row: dict[str, float]) -> dict[str, float]:
    refused = row["offered/s"] - row["goodput/s"]
    return {
        "goodput/s": row["goodput/s"],
        "200 p50 ms": row["200 p50"],
        "200 p99 ms": row["200 p99"],
        "429 share": refused / row["offered/s"],
    }


def _medians(rows: Sequence[dict[str, float]]) -> list[float]:
    return [statistics.median(row[column] for row in rows) for column in _COLUMNS]


def main() -> None:
    """Print the costs and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--factors", type=float, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="file for the costs")
    options = parser.parse_args()
    cores = available_cores()
    with overload.serving_one_photo(options.photos, overload.ROOT) as (process, url, file):
        full = overload.capacity(process, url, file.parent, options.seconds)
        costs = measure(process, url, file.parent, full, options.seconds)
        rows = [
            _measure(process, url, file, factor, full, options.seconds)
            for _ in range(options.rounds)
            for factor in options.factors
        ]
    if options.write:
        options.write.write_text(json.dumps({"cores": cores, **asdict(costs)}), encoding="utf-8")
    print(f"{describe()}; {cores} cores\n")
    print(
        f"a photo {sum(costs.photo_s) / len(costs.photo_s) * 1e3:.2f} ms of a core, a request "
        f"{costs.request_s * 1e3:.2f} ms, a refusal {costs.refusal_s * 1e3:.3f} ms\n"
    )
    print(f"capacity: measured {full:.1f}/s, simulated {capacity(costs, cores, 30):.1f}/s\n")
    print("| factor | | " + " | ".join(_COLUMNS) + " |\n|" + "---|" * (len(_COLUMNS) + 2))
    for factor in options.factors:
        measured = [row for row in rows if row["factor"] == factor]
        models = [
            simulated(
                costs.with_photos_of(row["photo s"]),
                cores,
                row["cores left"],
                factor * full,
                options.seconds,
                seed,
            )
            for seed, row in enumerate(measured)
        ]
        for name, results in (("measured", map(_measured, measured)), ("simulated", models)):
            cells = " | ".join(f"{value:.3g}" for value in _medians(list(results)))
            print(f"| {factor:g} | {name} | {cells} |")


if __name__ == "__main__":
    os.chdir(overload.ROOT)
    main()
