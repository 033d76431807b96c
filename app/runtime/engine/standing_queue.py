"""CoDel: a detector of a standing queue, by the time that jobs have waited when they begin.

A burst makes jobs wait, too, but soon some job begins promptly again. Where every job for a whole
interval has waited longer than the target, the queue stands: it adds waiting time and no
throughput. The method is "Controlled Delay" (Nichols and Jacobson, "Controlling Queue Delay", ACM
Queue 10(5), 2012; RFC 8289). As there, measured waiting times decide, so a wrong estimate of the
service time can't keep a queue too long. Two things differ, as in "Fail at Scale" (Maurer, ACM
Queue 13(8), 2015): the target is HUBEL_QUEUE_WAIT_S, because clients expect a response and don't
retransmit; and while a queue stands, all arrivals are refused, because a refusal costs nothing.
"""

_INTERVAL_TARGETS = 0.5
"""The interval, as a multiple of the target."""
LATE_TARGETS = 2.0
"""Jobs that have waited for longer, in targets, are refused when they leave a standing queue."""


class StandingQueue:
    """The state of CoDel for one queue.

    Args:
        target_s: the time that jobs may wait.
    """

    def __init__(self, target_s: float) -> None:
        self._target_s = target_s
        self._interval_s = _INTERVAL_TARGETS * target_s
        self._above_since: float | None = None

    def on_begin(self, waited_s: float, now: float) -> None:
        """Record that a job begins which has waited for `waited_s`."""
        if waited_s <= self._target_s:
            self._above_since = None
        elif self._above_since is None:
            self._above_since = now

    def on_empty(self) -> None:
        """Record that nothing waits."""
        self._above_since = None

    def stands(self, now: float) -> bool:
        """Return whether every job has waited for longer than the target for an interval."""
        return self._above_since is not None and now - self._above_since >= self._interval_s

    def is_late(self, waited_s: float, now: float) -> bool:
        """Return whether a job that has waited for `waited_s` is refused instead of begun."""
        return waited_s > LATE_TARGETS * self._target_s and self.stands(now)
