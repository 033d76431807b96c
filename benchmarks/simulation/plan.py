"""From photos a second to pods and money, by Little's law.

    python -m benchmarks.simulation.plan COSTS [--core-hour 0.05] [--use 0.6] [--regions 1]
                                               [--rates 1 100 10000 1000000]

COSTS is the file that `calibration --write` makes. Little's law: the cores that are busy are the
photos a second times the seconds of a core for each. Each pod is busy for the share USE, so that
bursts and the loss of a pod leave the waiting time short; one pod is simulated at that use.
Each region has a pod more than it needs, so that one may fail. CORE-HOUR is what a core costs an
hour, in any currency.
"""

import argparse
import math
import random
from pathlib import Path

import simpy

from benchmarks.simulation.cluster import read_costs
from benchmarks.simulation.costs import Costs
from benchmarks.simulation.machine import Machine, open_loop, percentile

_SECONDS = 60.0
_SEED = 1


def core_s(costs: Costs) -> float:
    """Return the seconds of a core that a photo takes, its request included."""
    return sum(costs.photo_s) / len(costs.photo_s) + costs.request_s


def pods(costs: Costs, rate: float, cores: int, use: float, regions: int) -> int:
    """Return the number of pods for `rate` photos a second, over all regions."""
    needed = rate / regions * core_s(costs) / (cores * use)
    return regions * (math.ceil(needed) + 1)


def waiting(costs: Costs, cores: int, use: float) -> tuple[float, float]:
    """Return the median and 99th percentile of the response time of one pod, in seconds."""
    environment = simpy.Environment()
    numbers = random.Random(_SEED)
    machine = Machine(environment, costs, cores=cores, threads=cores + 1, random_numbers=numbers)
    rate = use * cores / core_s(costs)
    responses = open_loop(machine.request, environment, lambda now: rate, numbers)
    environment.run(_SECONDS)
    times = responses.latencies_s[200]
    return percentile(times, 50), percentile(times, 99)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("costs", type=Path)
    parser.add_argument("--core-hour", type=float, default=0.05)
    parser.add_argument("--use", type=float, default=0.6)
    parser.add_argument("--regions", type=int, default=1)
    parser.add_argument("--rates", type=float, nargs="+", default=[1, 100, 1e4, 1e6])
    options = parser.parse_args()
    costs, cores = read_costs(options.costs)
    seconds = core_s(costs)
    million = seconds / options.use / 3600 * 1e6 * options.core_hour
    median, late = waiting(costs, cores, options.use)
    print(f"a photo takes {seconds * 1e3:.2f} ms of a core; a million {million:.2f} at full size")
    print(f"one pod at {options.use:.0%}: p50 {median * 1e3:.0f} ms, p99 {late * 1e3:.0f} ms\n")
    print("| photos/s | busy cores | pods | an hour | a million photos |\n|" + "---|" * 5)
    for rate in options.rates:
        count = pods(costs, rate, cores, options.use, options.regions)
        hour = count * cores * options.core_hour
        each = hour / (rate * 3600) * 1e6
        print(f"| {rate:,.0f} | {rate * seconds:,.1f} | {count:,} | {hour:,.2f} | {each:,.2f} |")


if __name__ == "__main__":
    main()
