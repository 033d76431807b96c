"""Simulate pods behind a load balancer, and the autoscaler of Kubernetes, through a step of load.

    python -m benchmarks.simulation.cluster COSTS [--pods 4] [--load 0.6] [--step 2.0]
                                                  [--start-s 20] [--minutes 12]

COSTS is the file that `calibration --write` makes. The load is a share of what the first pods can
do; after two minutes it is STEP times as high. Pods are those of deploy/kubernetes. A new pod takes
START-S until it gets requests: its image is on the node; the model is loaded and verified.

The autoscaler is asked every 15 s (`autoscaler`). What it sees of the queue is 15 s old, as
Prometheus scrapes it, and the processor's use is a mean over 30 s.
"""

import argparse
import json
import random
from collections import defaultdict, deque
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import simpy

from benchmarks.simulation.autoscaler import SYNC_S, Autoscaler
from benchmarks.simulation.calibration import capacity
from benchmarks.simulation.costs import Costs
from benchmarks.simulation.machine import Machine, Responses, open_loop, percentile

_CPU_WINDOW_S = 30.0
STEP_AT_S = 120.0
_SEED = 1


@dataclass
class Row:
    """What happened in a minute."""

    minute: int
    pods: int
    offered: float
    good: float
    p99_s: float


def read_costs(file: Path) -> tuple[Costs, int]:
    """Return the costs in a file of `calibration --write`, and the cores of its machine."""
    values: dict[str, Any] = json.loads(file.read_bytes())
    photo_s = tuple(values["photo_s"])
    return Costs(photo_s, values["request_s"], values["refusal_s"]), values["cores"]


class Cluster:
    """Pods behind a load balancer that chooses one by chance.

    Args:
        environment: the simulation.
        costs: what requests cost.
        pods: the number of pods at the start.
        start_s: seconds until a new pod gets requests.
        cores: the cores of a pod.
        random_numbers: the source of chance.
    """

    def __init__(
        self,
        environment: simpy.Environment,
        costs: Costs,
        *,
        pods: int,
        start_s: float,
        cores: int,
        random_numbers: random.Random,
    ) -> None:
        self._environment = environment
        self._costs = costs
        self._start_s = start_s
        self._cores = cores
        self._random = random_numbers
        self.ready = [self._pod() for _ in range(pods)]
        self.autoscaler = Autoscaler(pods)
        environment.process(self._scale())

    def _pod(self) -> Machine:
        return Machine(
            self._environment,
            self._costs,
            cores=self._cores,
            threads=self._cores + 1,
            random_numbers=self._random,
        )

    def request(self, responses: Responses) -> object:
        """Send a request to one of the pods."""
        return self._random.choice(self.ready).request(responses)

    def _scale(self) -> Generator[simpy.Event, Any, None]:
        busy: dict[Machine, deque[float]] = defaultdict(
            lambda: deque([0.0], maxlen=round(_CPU_WINDOW_S / SYNC_S) + 1)
        )
        queued = 0.0
        while True:
            yield self._environment.timeout(SYNC_S)
            pods = len(self.ready)
            used = 0.0
            for pod in self.ready:
                times = busy[pod]
                times.append(pod.busy_s)
                used += (times[-1] - times[0]) / ((len(times) - 1) * SYNC_S * self._cores)
            before = self.autoscaler.pods
            wanted = self.autoscaler.decide(float(self._environment.now), pods, queued, used / pods)
            queued = sum(pod.queue.depth for pod in self.ready) / pods
            for _ in range(wanted - before):
                self._environment.process(self._start())
            if wanted < before:
                del self.ready[wanted:]

    def _start(self) -> Generator[simpy.Event, Any, None]:
        yield self._environment.timeout(self._start_s)
        self.ready.append(self._pod())


def simulate(
    costs: Costs, *, pods: int, load: float, step: float, start_s: float, minutes: int, cores: int
) -> list[Row]:
    """Return a row a minute."""
    full = pods * capacity(costs, cores, 20)
    environment = simpy.Environment()
    numbers = random.Random(_SEED)
    cluster = Cluster(
        environment, costs, pods=pods, start_s=start_s, cores=cores, random_numbers=numbers
    )

    def rate(now: float) -> float:
        return full * load * (step if now >= STEP_AT_S else 1.0)

    responses = open_loop(cluster.request, environment, rate, numbers)
    rows = []
    for minute in range(minutes):
        environment.run((minute + 1) * 60)
        good, refused = responses.latencies_s[200], responses.latencies_s[429]
        total = len(good) + len(refused)
        rows.append(
            Row(minute + 1, len(cluster.ready), total / 60, len(good) / 60, percentile(good, 99))
        )
        responses.latencies_s.clear()
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("costs", type=Path)
    parser.add_argument("--pods", type=int, default=4)
    parser.add_argument("--load", type=float, default=0.6)
    parser.add_argument("--step", type=float, default=2.0)
    parser.add_argument("--start-s", type=float, default=20.0)
    parser.add_argument("--minutes", type=int, default=12)
    options = parser.parse_args()
    costs, cores = read_costs(options.costs)
    rows = simulate(
        costs,
        pods=options.pods,
        load=options.load,
        step=options.step,
        start_s=options.start_s,
        minutes=options.minutes,
        cores=cores,
    )
    print("| minute | pods | offered/s | 200/s | 429 share | p99 s |\n|" + "---|" * 6)
    for row in rows:
        refused = 1 - row.good / row.offered
        print(
            f"| {row.minute} | {row.pods} | {row.offered:.0f} | {row.good:.0f} | {refused:.3f} | "
            f"{row.p99_s:.3f} |"
        )


if __name__ == "__main__":
    main()
