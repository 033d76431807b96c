"""A moving window never lets more than its quota through, in any interval of its length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api import moving_window
from app.api.moving_window import MovingWindow


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@given(
    quota=st.integers(1, 20),
    steps=st.lists(
        st.tuples(st.floats(0, 3), st.integers(1, 5)),
        min_size=1,
        max_size=60,
    ),
)
def test_no_interval_has_more_than_the_quota_and_the_wait_is_enough(quota, steps):
    clock = Clock()
    window = MovingWindow(1.0, clock)
    taken = []
    for pause, wished in steps:
        clock.now += pause
        amount = min(wished, quota)
        if wait_s := window.wait_s(amount, quota):
            assert 0 < wait_s <= 1
            clock.now += wait_s
            assert window.wait_s(amount, quota) < 1e-9, "after that wait there is room"
            clock.now += 1e-9
        window.take(amount)
        taken.append((clock.now, amount))
        assert window.left(quota) + sum(n for at, n in taken if at > clock.now - 1) <= quota
        for end, _ in taken:
            assert sum(n for at, n in taken if end - 1 < at <= end) <= quota


def test_the_number_of_entries_is_bounded_and_what_is_used_is_released():
    clock = Clock()
    window = MovingWindow(1.0, clock)
    for _ in range(20_000):
        window.take(1)
        clock.now += 1 / 10_000
    assert len(window._entries) <= moving_window._ENTRIES + 1
    assert window.left(20_000) == pytest.approx(10_000, rel=0.01)
    clock.now += 1.01
    assert window.is_unused
    assert window.left(5) == 5
    assert window.next_release_s() == 1.0


def test_a_wait_is_never_longer_than_the_window_by_rounding():
    clock = Clock()
    for now in (1023.3216608762967, 1000.1 + 1 / 3):
        clock.now = now
        window = MovingWindow(1.0, clock)
        window.take(1)
        assert window.wait_s(1, 1) <= 1.0
        assert window.next_release_s() <= 1.0


def test_a_lower_quota_counts_what_was_used_before():
    window = MovingWindow(60.0, Clock())
    window.take(10)
    assert window.wait_s(1, 10) == 60
    assert window.wait_s(1, 11) == 0
    assert window.left(5) == 0
