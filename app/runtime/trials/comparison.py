"""The comparison of a shadowed version with the serving one, by the images that both have seen.

probabilities of both -> the same labels? how far apart? -> counts, times, the last disagreements
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.bundle import Manifest
from app.runtime.accepted_labels import predicted_labels
from app.runtime.evaluation.interval import interval
from app.runtime.trials.cost import CostBound

MAX_DISAGREEMENTS = 100
"""The most disagreements that are kept, the last ones."""
_TIMED_RUNS = 1000
"""The runs that latency is computed of, the last ones."""
_MAX_LABELS = 20
"""The most labels of a multi-label model that a disagreement lists."""

LabelProbability = tuple[str, float]


@dataclass(frozen=True)
class Disagreement:
    """An image for which the two versions name different labels."""

    request_id: str
    index: int
    """The image's, or crop's, place in the request."""
    at: float
    """time.time()"""
    serving: tuple[LabelProbability, ...]
    """The labels of the serving version: the most probable one, or those that are accepted."""
    shadow: tuple[LabelProbability, ...]


@dataclass(frozen=True)
class Latency:
    """The times of a version's runs, in seconds."""

    mean_s: float
    p95_s: float


@dataclass(frozen=True)
class Report:
    """The figures of a comparison at one moment."""

    since: float | None = None
    """time.time() at the start of the comparison; None without one."""
    images: int = 0
    """Images that both versions have seen."""
    agreed: int = 0
    agreement: float | None = None
    """The share of images with the same labels; None without images."""
    agreement_interval: tuple[float, float] | None = None
    """Its 95 % confidence interval."""
    mean_difference: float | None = None
    """The mean, over the images, of the largest difference of a label's probability."""
    serving_latency: Latency | None = None
    shadow_latency: Latency | None = None
    """Of the same images, on as many cores."""
    earned_s: float = 0.0
    """The share of the seconds that the serving version took."""
    spent_s: float = 0.0
    """The seconds that shadow runs took."""
    failed: int = 0
    last_error: str | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Images that were selected and not run, by reason."""
    disagreements: tuple[Disagreement, ...] = ()
    """The last ones, the newest first."""


class Comparison:
    """The counts of one shadowed version; it keeps no model in memory.

    Args:
        serving: the manifest of the serving version.
        shadow: the manifest of the shadowed version.
    """

    def __init__(self, serving: Manifest, shadow: Manifest) -> None:
        self.serving = serving
        self.shadow = shadow
        self.cost = CostBound()
        self.dropped: Counter[str] = Counter()
        self._places = _places(serving, shadow)
        self._since = time.time()
        self._lock = threading.Lock()
        self.images = self.agreed = self.failed = self.timed_runs = 0
        self.difference_sum = self.serving_run_s = self.shadow_run_s = 0.0
        self._last_error: str | None = None
        self._timed: deque[tuple[float, float]] = deque(maxlen=_TIMED_RUNS)
        self._disagreements: deque[Disagreement] = deque(maxlen=MAX_DISAGREEMENTS)

    def is_of(self, serving: Manifest, shadow: Manifest) -> bool:
        """Return whether it compares bundles with this content."""
        if self.serving is serving and self.shadow is shadow:
            return True
        if (self.serving, self.shadow) != (serving, shadow):
            return False
        self.serving, self.shadow = serving, shadow  # loaded again
        return True

    def add(
        self,
        serving: NDArray[np.float32],
        shadow: NDArray[np.float32],
        request_id: str,
        index: int,
    ) -> None:
        """Count one image by the probabilities of both versions, (K,) each."""
        theirs, ours = _labels(serving, self.serving), _labels(shadow, self.shadow)
        has_agreed = {name for name, _ in theirs} == {name for name, _ in ours}
        with self._lock:
            self.images += 1
            self.agreed += has_agreed
            self.difference_sum += self._difference(serving, shadow)
            if not has_agreed:
                self._disagreements.appendleft(
                    Disagreement(
                        request_id, index, time.time(), theirs[:_MAX_LABELS], ours[:_MAX_LABELS]
                    )
                )

    def time_runs(self, serving_s: float, shadow_s: float) -> None:
        """Count the times of both versions' runs on one image, on as many cores."""
        with self._lock:
            self._timed.append((serving_s, shadow_s))
            self.timed_runs += 1
            self.serving_run_s += serving_s
            self.shadow_run_s += shadow_s

    def fail(self, error: str) -> None:
        """Count an image for which the shadowed version gave an error."""
        with self._lock:
            self.failed += 1
            self._last_error = error

    def drop(self, reason: str) -> None:
        """Count an image that was selected and is not run."""
        with self._lock:
            self.dropped[reason] += 1

    def report(self) -> Report:
        """Return the present figures."""
        with self._lock:
            images, timed = self.images, np.array(self._timed)
            agreement = self.agreed / images if images else None
            return Report(
                since=self._since,
                images=images,
                agreed=self.agreed,
                agreement=agreement,
                agreement_interval=None if agreement is None else interval(agreement, images),
                mean_difference=self.difference_sum / images if images else None,
                serving_latency=_latency(timed[:, 0]) if len(timed) else None,
                shadow_latency=_latency(timed[:, 1]) if len(timed) else None,
                earned_s=self.cost.earned_s,
                spent_s=self.cost.spent_s,
                failed=self.failed,
                last_error=self._last_error,
                dropped=dict(self.dropped),
                disagreements=tuple(self._disagreements),
            )

    def _difference(self, serving: NDArray[np.float32], shadow: NDArray[np.float32]) -> float:
        """Return the largest difference of a label's probability."""
        if self._places is None:
            return float(np.abs(serving - shadow).max())
        difference = np.zeros(int(max(map(np.max, self._places))) + 1)
        difference[self._places[0]] = serving
        difference[self._places[1]] -= shadow
        return float(np.abs(difference).max())


def _places(serving: Manifest, shadow: Manifest) -> Sequence[NDArray[np.intp]] | None:
    """Return the places of both versions' labels among those of both; None if they are the same.

    A label that one version doesn't have has the probability 0 there.
    """
    names = [[label.name for label in manifest.labels] for manifest in (serving, shadow)]
    if names[0] == names[1]:
        return None
    place = {name: place for place, name in enumerate(dict.fromkeys([*names[0], *names[1]]))}
    return [np.array([place[name] for name in each]) for each in names]


def _labels(probabilities: NDArray[np.float32], manifest: Manifest) -> tuple[LabelProbability, ...]:
    return tuple(
        (manifest.labels[index].name, float(probabilities[index]))
        for index in predicted_labels(probabilities, manifest)
    )


def _latency(seconds: NDArray[np.float64]) -> Latency:
    return Latency(float(seconds.mean()), float(np.percentile(seconds, 95)))
