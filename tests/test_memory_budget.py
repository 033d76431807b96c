"""A memory budget is taken at once or refused, waits only offline, and reports room."""

import threading

import pytest

from app.errors import QueueFull, TooMuchMemory
from app.memory_budget import MemoryBudget


def test_bytes_are_taken_while_there_is_room_and_refused_after():
    budget = MemoryBudget(100)
    assert budget.try_take(60)
    assert not budget.try_take(41)
    assert budget.try_take(40)
    budget.give_back(60)
    assert budget.held_bytes == 40
    assert budget.try_take(60)


def test_threads_never_take_more_than_the_total():
    budget = MemoryBudget(10)
    most = []

    def take_often():
        for _ in range(2_000):
            if budget.try_take(3):
                most.append(budget.held_bytes)
                budget.give_back(3)

    threads = [threading.Thread(target=take_often) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.held_bytes == 0
    assert max(most) <= 10


def test_what_can_never_fit_is_refused_with_both_sizes_and_advice():
    budget = MemoryBudget(10_000_000)
    budget.check_fits(10_000_000, "The WebP", "Send it smaller.")
    with pytest.raises(TooMuchMemory, match=r"The WebP needs about 11 MB .* 10 MB .*Send it small"):
        budget.check_fits(10_000_001, "The WebP", "Send it smaller.")


def test_a_part_has_its_own_limit_and_takes_from_the_whole():
    whole = MemoryBudget(100)
    part = whole.part(50)
    assert not part.try_take(51)
    assert part.try_take(50)
    assert whole.held_bytes == 50
    assert whole.try_take(40)
    part.give_back(50)
    assert (part.held_bytes, whole.held_bytes) == (0, 40)
    assert whole.try_take(60)
    assert not part.try_take(1)
    assert part.held_bytes == 0


def test_a_callback_hears_of_every_return_and_may_take_bytes():
    budget = MemoryBudget(10)
    taken = []
    budget.on_room(lambda: taken.append(budget.try_take(10)))
    assert budget.try_take(6)
    assert budget.try_take(4)
    budget.give_back(6)
    assert taken == [False]
    budget.give_back(4)
    assert taken == [False, True]


def test_a_callback_of_the_whole_hears_of_room_in_a_part():
    whole = MemoryBudget(10)
    part, heard = whole.part(5), []
    whole.on_room(lambda: heard.append(whole.held_bytes))
    assert part.try_take(5)
    part.give_back(5)
    assert heard == [0]


def test_a_share_grows_never_shrinks_and_ends_with_its_block():
    budget = MemoryBudget(100)
    with budget.hold() as share:
        share.grow_to(70)
        share.grow_to(20)
        assert budget.held_bytes == share.bytes == 70
        share.check_room(30)
        with pytest.raises(TooMuchMemory):
            share.check_room(31)
        with budget.hold() as other, pytest.raises(QueueFull):
            other.check_room(31)
        with pytest.raises(TooMuchMemory):
            share.grow_to(101)
        assert budget.held_bytes == 70
    assert budget.held_bytes == 0


def test_offline_work_waits_for_room_and_goes_alone_if_it_is_larger_than_the_total():
    budget = MemoryBudget(100)
    entered = threading.Event()

    def second():
        with budget.waiting_hold(1000):
            entered.set()

    with budget.waiting_hold(60):
        thread = threading.Thread(target=second)
        thread.start()
        with budget.waiting_hold(40):
            pass
        assert not entered.wait(0.1)
    thread.join(timeout=10)
    assert entered.is_set()
    assert budget.held_bytes == 0
