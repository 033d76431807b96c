"""The share of requests that a canary answers, by a hash of the request's id."""

import pytest

from app.runtime.trials.canary import is_in_share

IDS = [f"{number:032x}" for number in range(10_000)]


def chosen(share, version=2, ids=IDS):
    return {each for each in ids if is_in_share(each, "birds", version, share)}


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_share_is_kept_within_a_point_over_ten_thousand_requests(share):
    assert len(chosen(share)) / len(IDS) == pytest.approx(share, abs=0.01)


def test_all_requests_are_in_a_share_of_1():
    assert len(chosen(1.0)) == len(IDS)


def test_a_larger_share_keeps_the_requests_of_a_smaller_one():
    assert chosen(0.1) < chosen(0.2)


def test_another_version_gets_other_requests():
    first, other = chosen(0.1), chosen(0.1, version=3)
    assert len(first & other) / len(first) == pytest.approx(0.1, abs=0.04)
