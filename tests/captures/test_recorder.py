"""The recorder: photos are stored beside the service, and dropped rather than waited for."""

import threading

import pytest

from app.captures import Recorder, database
from app.captures.capture import Filter
from app.captures.rows import page_of
from app.errors import BrokenImage
from app.memory_budget import MemoryBudget


@pytest.fixture
def recorder(store, roomy):
    with Recorder(store, roomy, MemoryBudget(1000), 100, None) as recorder:
        yield recorder


def all_of(store):
    with database.reading(store.folder) as connection:
        return page_of(connection, Filter(), "newest", None, 100)[0]


def test_what_was_offered_is_stored_at_the_end(store, roomy, capture):
    with Recorder(store, roomy, MemoryBudget(1000), 0, None) as recorder:
        for number in range(20):
            recorder.offer(capture(number))
    assert len(all_of(store)) == 20
    assert recorder.kept == {"unsure": 20}
    assert recorder.dropped == {}


def test_a_full_queue_drops_at_once(store, roomy, capture, monkeypatch):
    monkeypatch.setattr("app.captures.recorder.QUEUE_BYTES", 20)
    released, writing = threading.Event(), threading.Event()

    def wait(data):
        writing.set()
        assert released.wait(60)
        return data, "jpeg"

    with Recorder(store, roomy, MemoryBudget(1000), 0, wait) as recorder:
        recorder.offer(capture(0))
        assert writing.wait(60)
        for number in range(1, 5):
            recorder.offer(capture(number))
        assert recorder.dropped == {"queue_full": 2}
        released.set()
    assert len(all_of(store)) == 3


def test_errors_are_counted_and_told_once(store, roomy, capture, caplog):
    def strip(data):
        if data == b"photo 1":
            raise BrokenImage("broken")
        return data + b" stripped", "png"

    with Recorder(store, roomy, MemoryBudget(1000), 0, strip) as recorder:
        for number in range(3):
            recorder.offer(capture(number))
    assert recorder.dropped == {"unreadable": 1}
    assert {kept.format for kept in all_of(store)} == {"png"}
    for kept in all_of(store):
        assert store.files.path(kept.sha256, "png").read_bytes().endswith(b" stripped")
    assert len(caplog.records) == 1


def test_a_store_that_fails_does_not_stop_the_thread(store, roomy, capture, monkeypatch, caplog):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    with Recorder(store, roomy, MemoryBudget(1000), 0, None) as recorder:
        with monkeypatch.context() as patch:
            patch.setattr(store, "add", fail)
            recorder.offer(capture(1))
            recorder.wait_until_written()
        recorder.offer(capture(2))
    assert recorder.dropped == {"error": 1}
    assert [kept.request_id for kept in all_of(store)] == ["r2"]
    assert "the service goes on" in caplog.text


def test_an_unexpected_error_does_not_end_the_thread(store, roomy, capture):
    def strip(data):
        if data == b"photo 1":
            raise MemoryError
        return data, "jpeg"

    with Recorder(store, roomy, MemoryBudget(1000), 0, strip) as recorder:
        for number in (1, 2):
            recorder.offer(capture(number))
            recorder.wait_until_written()
    assert (recorder.dropped, recorder.kept) == ({"unreadable": 1}, {"unsure": 1})


def test_feedback_changes_feedback_and_nothing_that_a_reviewer_said(recorder, capture):
    recorder.remember(capture(1))
    assert recorder.feedback("r1", 0, ["dog"], wrong=False, by=None).labels == ("dog",)
    kept = recorder.feedback("r1", 0, ["cat"], wrong=False, by="alice")
    assert (kept.labels, kept.labelled_by) == (("cat",), "alice")
    recorder.store.label([kept.id], ["bird"], by="expert")
    kept = recorder.feedback("r1", 0, ["cat"], wrong=False, by="alice")
    assert (kept.labels, kept.labelled_by) == (("bird",), "expert")


def test_a_deleted_photo_leaves_the_ring(recorder, capture):
    recorder.remember(capture(1))
    kept = recorder.feedback("r1", 0, ["dog"], wrong=False, by=None)
    assert recorder.delete([kept.id, 99]) == 1
    assert recorder.feedback("r1", 0, ["dog"], wrong=False, by=None) is None


def test_feedback_keeps_a_photo_of_the_ring(recorder, capture):
    recorder.remember(capture(1))
    kept = recorder.feedback("r1", 0, ["dog"], wrong=False, by="alice")
    assert (kept.labels, kept.reason, kept.labelled_by) == (("dog",), "feedback", "alice")
    assert recorder.feedback("r1", 1, ["dog"], wrong=False, by=None) is None
    assert recorder.feedback("r2", 0, ["dog"], wrong=False, by=None) is None


def test_feedback_finds_a_photo_that_was_offered(recorder, capture):
    recorder.offer(capture(1))
    kept = recorder.feedback("r1", 0, None, wrong=True, by=None)
    assert (kept.labels, kept.wrong, kept.reason) == (None, True, "unsure")


def test_the_ring_holds_a_limited_number_of_bytes(store, roomy, capture):
    memory = MemoryBudget(1000)
    with Recorder(store, roomy, memory, 30, None) as recorder:
        for number in range(10):
            recorder.remember(capture(number))
        recorder.remember(capture(11, data=b"x" * 31))
        assert memory.held_bytes == 28
        assert recorder.feedback("r5", 0, [], wrong=False, by=None) is None
        assert recorder.feedback("r9", 0, [], wrong=False, by=None) is not None


def test_the_ring_gives_way_to_requests(store, roomy, capture):
    memory = MemoryBudget(20)
    assert memory.try_take(15)
    with Recorder(store, roomy, memory, 20, None) as recorder:
        recorder.remember(capture(1))
        assert memory.held_bytes == 15
