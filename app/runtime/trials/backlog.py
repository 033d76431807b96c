"""The backlog of shadow runs, and the thread that runs them while no request waits.

responses are sent -> `add`: bounded in number, bytes and age -> the thread, once a core is free
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from app.memory_budget import MemoryBudget
from app.runtime.engine import Engine
from app.runtime.trials.shadow_run import ShadowRun
from app.thread_priority import go_behind_event_loop

MAX_RUNS = 64
"""The most runs that wait."""
MAX_BYTES = 32_000_000
"""The most memory that they hold."""
_MAX_AGE_S = 10.0
"""A run that has waited for longer is dropped."""
_JOIN_S = 5.0
_PAUSE_S = 0.01
"""Seconds until the thread looks for a free core again."""
_CALM_LOOKS = 3
"""Looks in a row that must find a free core, once one has found none: under load there are gaps."""

log = logging.getLogger(__name__)


class Backlog:
    """The runs that wait; a context manager that ends their thread.

    The thread starts with the first run, so a service without a shadow has none.

    Args:
        engine: the engine that requests use; they go first.
        memory: the memory for requests.
        execute: carries out a run; the second argument says whether it may use all cores.
    """

    def __init__(
        self, engine: Engine, memory: MemoryBudget, execute: Callable[[ShadowRun, bool], None]
    ) -> None:
        self._engine = engine
        self._memory = memory
        self._part = memory.part(MAX_BYTES)
        self._execute = execute
        self._runs: deque[ShadowRun] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._calm_looks = _CALM_LOOKS
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Return the backlog."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Forget the runs that wait, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(_JOIN_S)

    def hold(self, runs: Sequence[ShadowRun]) -> list[ShadowRun]:
        """Take memory for runs, and return those that have it; pass them to `add`.

        Memory that is half full is left to requests.
        """
        kept = []
        for run in runs:
            is_scarce = 2 * self._memory.held_bytes > self._memory.total_bytes
            if is_scarce or not self._part.try_take(run.held_bytes):
                run.comparison.drop("memory")
            else:
                kept.append(run)
        return kept

    def add(self, runs: Sequence[ShadowRun]) -> None:
        """Append runs whose memory was taken."""
        if not runs:
            return
        with self._changed:
            room = 0 if self._closed else MAX_RUNS - len(self._runs)
            self._runs.extend(runs[:room])
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._run, name="shadow", daemon=True)
                thread.start()  # may fail; then the next request tries again
                self._thread = thread
            self._changed.notify_all()
        for run in runs[room:]:
            self._drop(run)

    def _run(self) -> None:
        go_behind_event_loop()  # as the engine's threads, so that it gets no more than they do
        while (run := self._next()) is not None:
            try:
                self._execute(run, self._engine.is_idle)
            except Exception:
                log.exception("a shadow run failed")
            self._part.give_back(run.held_bytes)
            del run  # an idle thread must keep neither a photo nor a model in memory

    def _next(self) -> ShadowRun | None:
        """Wait for a run and a free core; None at the end."""
        with self._changed:
            while True:
                while self._runs and self._runs[0].created_at < time.monotonic() - _MAX_AGE_S:
                    self._drop(self._runs.popleft())
                if self._closed:
                    self._forget()
                    return None
                if not self._runs:
                    self._changed.wait()
                elif self._is_calm():
                    return self._runs.popleft()
                else:
                    self._changed.wait(_PAUSE_S)

    def _is_calm(self) -> bool:
        """Return whether a core is free, and was at the last looks."""
        self._calm_looks = self._calm_looks + 1 if self._engine.has_spare_core else 0
        return self._calm_looks >= _CALM_LOOKS

    def _forget(self) -> None:
        while self._runs:
            self._drop(self._runs.popleft())

    def _drop(self, run: ShadowRun) -> None:
        run.comparison.drop("busy")
        self._part.give_back(run.held_bytes)
