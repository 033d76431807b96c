"""Keeps photos beside the service: nothing here delays a response, or fails one.

    offer    (any thread, at once) -> a limited queue -> a thread: without metadata -> store
    remember (any thread, at once) -> a ring of the last photos, for feedback
    feedback (a thread of the API) -> the ring | the store -> labelled

What finds the queue full, or can't be stored, is dropped and counted.
"""

import logging
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from app.captures import database
from app.captures.capture import Capture, NewCapture, StoreLimits, Totals
from app.captures.ring import Ring
from app.captures.rows import captures_of_request
from app.captures.store import Store
from app.memory_budget import MemoryBudget
from app.vision.crop import Pixels

log = logging.getLogger("hubel")

QUEUE_BYTES = 32 * 1024 * 1024
"""The most that waits to be written."""
_BATCH_BYTES = 8 * 1024 * 1024
"""The most that is written in one transaction, if it is more than one photo."""
_PRUNE_S = 3600.0
_QUIET_S = 60.0
"""The time between two log lines about errors."""
_END_S = 10.0
"""How long the end of the service waits for what is queued."""
_FEEDBACK_WAIT_S = 2.0
_THREADS = 4

StripMetadata = Callable[[bytes], tuple[bytes, str]]
"""Returns a photo without metadata, and its format; raises HubelError."""
CutOut = Callable[[bytes, Pixels], tuple[bytes, str, tuple[int, int]]]
"""Returns a part of a photo, its format, and its width and height; raises HubelError."""


class Recorder:
    """The thread that stores photos; a context manager that starts and ends it.

    Args:
        store: where they are kept.
        limits: what it may hold.
        memory: the bytes of photos in the ring are taken from it.
        recent_bytes: the most that the ring holds; 0: no ring.
        strip_metadata: None keeps files as they were sent.
        cut_out: cuts the part that a request has selected out of its photo; None: no photo has one.

    Raises:
        BadParameter: another service keeps photos in the folder.
    """

    def __init__(
        self,
        store: Store,
        limits: StoreLimits,
        memory: MemoryBudget,
        recent_bytes: int,
        strip_metadata: StripMetadata | None,
        cut_out: CutOut | None = None,
    ) -> None:
        self.store = store
        self.limits = limits
        self.kept: Counter[str] = Counter()
        """Photos by the reason why they were kept."""
        self.dropped: Counter[str] = Counter()
        """Photos that weren't kept: queue_full, store_full, unreadable, error."""
        self._strip = strip_metadata
        self._cut_out = cut_out
        self._stripping = threading.Lock()
        self.executor = ThreadPoolExecutor(_THREADS, "captures-api")
        """Threads for requests about the store, so that a slow disk holds no others up."""
        self._queue: deque[NewCapture] = deque()
        self._queued_bytes = 0
        self._unwritten: Counter[tuple[str, int]] = Counter()
        """Photos that are queued or being written, by request and position."""
        self._changed = threading.Condition()
        self._ended = False
        self._recent = Ring(memory.part(recent_bytes))
        self._thread = threading.Thread(target=self._run, name="captures", daemon=True)
        self._said_at = -_QUIET_S
        self._lock = store.claim()

    def __enter__(self) -> Self:
        """Mend what an interrupted change left, and start the thread."""
        self.store.repair()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Store what is queued, and end the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join(_END_S)
        self.executor.shutdown(wait=False, cancel_futures=True)
        self._lock.close()

    def offer(self, capture: NewCapture) -> None:
        """Queue a photo, or drop it if the queue is full."""
        size = capture.held_bytes
        with self._changed:
            if self._queue and self._queued_bytes + size > QUEUE_BYTES:
                self.dropped["queue_full"] += 1
                return
            self._queue.append(capture)
            self._queued_bytes += size
            self._unwritten[capture.request_id, capture.index] += 1
            self._changed.notify_all()

    def remember(self, capture: NewCapture) -> None:
        """Put a photo into the ring; the oldest leave it."""
        self._recent.put(capture)

    def feedback(
        self,
        request_id: str,
        index: int,
        labels: Sequence[str] | None,
        *,
        wrong: bool,
        by: str | None,
    ) -> Capture | None:
        """Keep a photo of a recent request and its labels; return None if it isn't at hand.

        Raises:
            HubelError: the file can't be read again to remove its metadata.
            OSError: the photo can't be stored.
            sqlite3.Error: likewise.
        """
        recent = self._recent.get(request_id, index)
        if recent is not None:
            capture = self._without_metadata(replace(recent, reason="feedback"))
            (id,) = self.store.add([capture], self.limits)
            if id is None:
                self.dropped["store_full"] += 1
                return None
        else:
            self._wait_until_written((request_id, index))
            with database.reading(self.store.folder) as connection:
                found = captures_of_request(connection, request_id, index)
            if not found:
                return None
            id = found[0].id
        labelled = self.store.label([id], labels, wrong=wrong, by=by, by_feedback=True)
        return labelled[0] if labelled else None

    def totals(self) -> Totals | None:
        """Return what the store holds, or None if it can't be read now."""
        with suppress(OSError, sqlite3.Error):
            return self.store.totals()
        return None

    def delete(self, ids: Sequence[int]) -> int:
        """Delete captures, here and in the ring; return how many there were.

        Raises:
            OSError: the store can't be changed.
            sqlite3.Error: likewise.
        """
        deleted = self.store.delete(ids)
        for key in deleted:
            self._recent.remove(key)
        return len(deleted)

    def wait_until_written(self) -> None:
        """Wait until everything that was offered is written, or dropped."""
        with self._changed:
            self._changed.wait_for(lambda: not self._unwritten)

    def _wait_until_written(self, key: tuple[str, int]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: key not in self._unwritten, _FEEDBACK_WAIT_S)

    def _run(self) -> None:
        prune_at = time.monotonic()
        while True:
            if time.monotonic() >= prune_at:
                prune_at = time.monotonic() + _PRUNE_S
                self._tolerate(
                    lambda: self.store.prune(self.limits), "old photos can't be removed (%s)"
                )
            batch = self._next_batch(prune_at)
            if batch is None:
                return
            self._write(batch)

    def _next_batch(self, until: float) -> list[NewCapture] | None:
        """Return the photos to write next, none once it is `until`; None: the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._queue or self._ended, max(0.0, until - time.monotonic())
            )
            batch: list[NewCapture] = []
            size = 0
            while self._queue and (not batch or size < _BATCH_BYTES):
                batch.append(self._queue.popleft())
                size += batch[-1].held_bytes
            self._queued_bytes -= size
            return None if self._ended and not batch else batch

    def _write(self, batch: Sequence[NewCapture]) -> None:
        """Store photos; whatever fails is counted, since the thread must not end."""
        try:
            readable = [capture for capture in map(self._readable, batch) if capture]
            self._tolerate(lambda: self._add(readable), "photos can't be kept (%s)", len(readable))
        finally:
            with self._changed:
                self._unwritten -= Counter((each.request_id, each.index) for each in batch)
                self._changed.notify_all()

    def _readable(self, capture: NewCapture) -> NewCapture | None:
        """Return a photo as it is kept, or None if that is impossible."""
        try:
            return self._without_metadata(capture)
        except Exception as err:  # of any decoder
            self.dropped["unreadable"] += 1
            self._say("a photo is not kept: %s", err)
            return None

    def _add(self, captures: Sequence[NewCapture]) -> None:
        ids = self.store.add(captures, self.limits)
        for capture, id in zip(captures, ids, strict=True):
            if id is None:
                self.dropped["store_full"] += 1
            else:
                self.kept[capture.reason] += 1

    def _without_metadata(self, capture: NewCapture) -> NewCapture:
        if capture.crop is not None:
            assert self._cut_out is not None
            with self._stripping:
                data, format, (width, height) = self._cut_out(capture.data, capture.crop)
            return replace(capture, data=data, format=format, width=width, height=height, crop=None)
        if self._strip is None:
            return capture
        with self._stripping:  # one at a time, since it may decode the photo
            data, format = self._strip(capture.data)
        return replace(capture, data=data, format=format)

    def _tolerate(self, work: Callable[[], object], text: str, photos: int = 0) -> None:
        """Do `work`; if it fails, count the photos that are lost by it."""
        try:
            work()
        except Exception as err:  # the disk, SQLite, memory: the service goes on
            self.dropped["error"] += photos
            self._say(f"{text}; the service goes on", err)

    def _say(self, text: str, err: Exception) -> None:
        if time.monotonic() >= self._said_at + _QUIET_S:
            self._said_at = time.monotonic()
            log.error(text, err)
