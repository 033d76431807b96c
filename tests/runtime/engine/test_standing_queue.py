"""A queue stands once every job has waited longer than the target for an interval."""

import pytest

from app.runtime.engine.standing_queue import StandingQueue


@pytest.fixture
def standing():
    return StandingQueue(target_s=1.0)


def test_a_burst_does_not_stand(standing):
    for step in range(10):  # half a second in which jobs have waited too long
        standing.on_begin(1.5, now=10 + step * 0.04)
        assert not standing.stands(10 + step * 0.04)
    standing.on_begin(0.9, now=10.4)
    assert not standing.stands(99)


def test_a_queue_that_lasts_stands_until_a_job_begins_promptly(standing):
    standing.on_begin(1.5, now=10)
    standing.on_begin(1.1, now=10.6)
    assert standing.stands(10.6)
    standing.on_begin(1.0, now=10.7)
    assert not standing.stands(10.7)


def test_an_empty_queue_does_not_stand(standing):
    standing.on_begin(1.5, now=10)
    standing.on_empty()
    assert not standing.stands(99)


def test_only_late_jobs_of_a_standing_queue_are_refused(standing):
    standing.on_begin(2.5, now=10)
    assert not standing.is_late(2.5, now=10.1)  # a pause of the process, perhaps
    standing.on_begin(2.5, now=10.3)
    assert standing.is_late(2.5, now=10.6)
    assert not standing.is_late(1.9, now=10.6)
