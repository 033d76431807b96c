"""The simulation of the service: what queueing theory and the settings say it must do."""

import random

import pytest
import simpy

from benchmarks.simulation.autoscaler import Autoscaler
from benchmarks.simulation.calibration import capacity, simulated
from benchmarks.simulation.costs import Costs
from benchmarks.simulation.machine import Machine, closed_loop
from benchmarks.simulation.plan import pods

COSTS = Costs((0.018, 0.02, 0.022), 0.002, 0.0002)


def test_the_capacity_is_that_of_the_cores():
    assert capacity(COSTS, 2, 5) == pytest.approx(2 / 0.022, rel=0.03)


def test_other_processes_take_their_share():
    environment = simpy.Environment()
    machine = Machine(environment, COSTS, others=0.5, random_numbers=random.Random(1))
    responses = closed_loop(machine, environment, 32)
    environment.run(5)
    assert responses.count(200) / 5 == pytest.approx(1.5 / 0.022, rel=0.05)


def test_a_light_load_waits_for_nothing_and_a_heavy_one_for_the_limit():
    light = simulated(COSTS, 2, 2, 20, 10)
    assert light["429 share"] == 0
    assert light["200 p50 ms"] < 30
    heavy = simulated(COSTS, 2, 2, 300, 5)
    assert 700 < heavy["200 p50 ms"] < 1300
    assert heavy["429 share"] == pytest.approx(1 - heavy["goodput/s"] / 300, abs=0.05)


def test_pods_follow_littles_law():
    assert pods(COSTS, 1000, cores=2, use=0.55, regions=1) == 21  # 22 busy cores, and one pod more
    assert pods(COSTS, 1000, cores=2, use=0.55, regions=2) == 22


def test_the_autoscaler_doubles_at_most_and_shrinks_after_five_minutes():
    autoscaler = Autoscaler(2)
    assert autoscaler.decide(15, 2, queued=40, used=1.0) == 4
    assert autoscaler.decide(30, 2, queued=40, used=1.0) == 4
    assert autoscaler.decide(45, 4, queued=40, used=1.0) == 8
    assert autoscaler.decide(60, 8, queued=8.5, used=0.5) == 8
    assert autoscaler.decide(330, 8, queued=0, used=0.2) == 8  # five minutes after the last wish
    assert autoscaler.decide(700, 8, queued=0, used=0.2) == 2
