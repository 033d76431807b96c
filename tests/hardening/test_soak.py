"""The soak's judgement: what counts as growth, and what does not."""

import pytest

from benchmarks.hardening import soak
from benchmarks.hardening.slow_client_load import PHOTO
from benchmarks.hardening.traffic import kinds


def rests(memory_mb, descriptors=lambda minute: 14, threads=lambda minute: 8, count=120):
    """Return a rest for each quarter of a minute; the arguments are functions of the minutes."""
    minutes = [number / 4 for number in range(count)]
    return [soak.Rest(m, memory_mb(m), descriptors(m), threads(m)) for m in minutes]


def noisy(minute):
    """Return what requests leave behind by chance: up to 4 MB, the same for neighbours."""
    return hash((7, int(minute * 2) * 7919)) % 400 / 100


@pytest.mark.parametrize(
    ("memory_mb", "expected"),
    [
        (lambda m: 150 + noisy(m), []),
        (lambda m: 150 + min(m, 8) * 5 + noisy(m), []),
        (lambda m: 190 - m / 2 + noisy(m), []),
        (lambda m: 150 + m / 2 + noisy(m), ["memory"]),
        (lambda m: 150 + 5 * m, ["memory"]),
    ],
    ids=["level", "level after warm-up", "falling", "half a MB a minute", "5 MB a minute"],
)
def test_growth_is_told_from_noise_and_from_the_warm_up(memory_mb, expected):
    assert soak.grown(rests(memory_mb)) == expected


@pytest.mark.parametrize("name", ["descriptors", "threads"])
def test_a_handle_for_each_minute_is_found_and_one_more_is_not(name):
    level = {name: lambda minute: 14 + int(minute) % 2}
    growing = {name: lambda minute: 14 + int(minute)}
    assert soak.grown(rests(noisy, **level)) == []
    assert soak.grown(rests(noisy, **growing)) == [name]


def test_the_slope_has_its_unit_and_no_error_on_a_straight_line():
    slope = soak.slope(rests(lambda minute: 100 + 3 * minute))
    assert slope.mb_per_minute == pytest.approx(3)
    assert slope.standard_error == pytest.approx(0, abs=1e-9)


@pytest.mark.e2e
@pytest.mark.slow
def test_mixed_traffic_gets_the_right_response_of_every_kind():
    patient = {"HUBEL_DEADLINE_S": "120"}  # a stalled machine is not at fault
    run, looked = soak.run(minutes=0.2, clients=4, round_s=4, **patient)
    assert run.wrong == {}
    assert looked[-1].descriptors <= looked[0].descriptors + 2
    seen = {name for name, _ in run.statuses}
    assert len(seen) > len(kinds(PHOTO)) / 2
