"""The trials of a process: which model gives a response, and which one runs in its shadow.

`answering`: the model of a request that names no version -> it, or its canary
`shadow_of`: the model of a request -> the shadow of its results, if it is shadowed
`end_lost`:  every few seconds, ends the trials whose version has no bundle any more
"""

import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Literal, Self

from app.errors import ModelError, ModelNotReady
from app.memory_budget import MemoryBudget
from app.periodic import Periodic
from app.runtime.classifier import Classified, Photo, Query
from app.runtime.engine import Engine
from app.runtime.loaded_model import Model
from app.runtime.pins import Trial, TrialMode
from app.runtime.registry import Registry
from app.runtime.trials.backlog import Backlog
from app.runtime.trials.canary import is_in_share, is_interchangeable
from app.runtime.trials.comparison import Comparison, Report
from app.runtime.trials.ending import end_trial, lost_trials
from app.runtime.trials.shadow_run import ShadowRun, execute, shadow_run_of
from app.runtime.trials.start import start_trial
from app.vision import Crop, Limits

_INTERVAL_S = 2.0
_LOST_AFTER_S = 10.0
_MAX_COMPARISONS = 16
"""The comparisons that are kept, those of the last trials."""


@dataclass(frozen=True, eq=False)
class Shadow:
    """A shadowed version, for the results of one request."""

    model: Model
    comparison: Comparison
    is_selected: bool
    """Whether it runs on the images of this request."""
    reads_same_pixels: bool
    """Whether it has the preprocessing of the serving version."""
    share: float

    @property
    def kept_bytes(self) -> int:
        """The memory of one image's pixels, if they are kept for the run."""
        keeps = self.is_selected and self.reads_same_pixels
        return math.prod(self.model.manifest.input.shape) if keeps else 0

    def prepare(self, query: Query) -> Query:
        """Return the query that keeps the pixels for the run, if that reads the same."""
        return replace(query, keep_pixels=True) if self.kept_bytes else query

    def runs(
        self,
        results: Sequence[Classified | BaseException],
        photos: Sequence[Photo],
        crops: Sequence[Crop],
        request_id: str,
    ) -> list[ShadowRun]:
        """Count the seconds of the results, and return the runs for them."""
        runs = []
        for index, result in enumerate(results):
            if isinstance(result, BaseException):
                continue
            stages = result.stages
            seconds = stages.decode_s + stages.resize_s + stages.run_s
            self.comparison.cost.earn(seconds, self.share)
            if self.is_selected:
                photo, crop = (photos[0], crops[index]) if crops else (photos[index], None)
                at = request_id, index
                runs.append(shadow_run_of(result, photo, self.model, self.comparison, crop, *at))
        return runs


@dataclass(frozen=True)
class TrialStatus:
    """The state of a version's shadow."""

    state: Literal["none", "running", "not_ready", "ended"]
    share: float | None
    """None unless it is shadowed."""
    reason: str | None
    """Why it isn't running, or has ended by itself."""
    serving: int | None
    """The version that it is compared with; None without a comparison."""
    report: Report


class Trials:
    """The canaries and shadows of all models; a context manager that ends their threads.

    Args:
        registry: the models.
        engine: the engine that requests use.
        memory: the memory for requests.
        limits: the largest photo that is decoded.
        draw: returns a random number from 0 to 1.
        lost_after_s: seconds without a bundle after which a trial ends; while a bundle is replaced,
            there is none for a moment.
    """

    def __init__(
        self,
        registry: Registry,
        engine: Engine,
        memory: MemoryBudget,
        limits: Limits,
        draw: Callable[[], float] = random.random,
        lost_after_s: float = _LOST_AFTER_S,
    ) -> None:
        self._registry = registry
        self._draw = draw
        self._lost_after_s = lost_after_s
        self._lost_since: dict[tuple[str, int], float] = {}
        self._execute = partial(execute, memory=memory, limits=limits)
        self.backlog = Backlog(engine, memory, self.execute)
        self._comparisons: dict[tuple[str, int], Comparison] = {}
        self._ended: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start to look for trials without a bundle."""
        self._stack.enter_context(self.backlog)
        self._stack.enter_context(Periodic(self.end_lost, _INTERVAL_S, "trials"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the threads."""
        self._stack.close()

    def start(
        self, name: str, version: int | None = None, *, mode: TrialMode, share: float
    ) -> None:
        """Try a version beside the one that serves; see `start_trial`."""
        start_trial(self._registry, name, mode, share, version)
        if (trial := self._registry.pins.of(name).trial) is not None:
            self._ended.pop((name, trial.version), None)

    def answering(self, model: Model, request_id: str, *, by_position: bool = False) -> Model:
        """Return the model that answers a request which names no version.

        Args:
            model: the serving version.
            request_id: the request's id.
            by_position: whether the client reads probabilities by their position, or sends arrays
                of the model's size: then a canary with other labels or another input doesn't
                answer.
        """
        found = self._find(model.name, "canary")
        if found is None:
            return model
        trial, canary = found
        if by_position and not is_interchangeable(model.manifest, canary.manifest):
            return model
        is_chosen = is_in_share(request_id, model.name, trial.version, trial.share)
        return canary if is_chosen else model

    def shadow_of(self, model: Model) -> Shadow | None:
        """Return the shadow of a request's model; None if it has none, or doesn't serve."""
        found = self._find(model.name, "shadow")
        if found is None:
            return None
        trial, shadow = found
        try:
            if self._registry.resolve(model.name) is not model:
                return None
        except ModelError:
            return None
        comparison = self._comparison(model, shadow)
        is_selected = self._draw() < trial.share
        is_same = model.manifest.input == shadow.manifest.input
        return Shadow(shadow, comparison, is_selected, is_same, trial.share)

    def _find(self, name: str, mode: TrialMode) -> tuple[Trial, Model] | None:
        """Return a model's trial and its version, if that is ready."""
        trial = self._registry.pins.of(name).trial
        if trial is None or trial.mode != mode:
            return None
        for entry in self._registry.entries:
            if (entry.name, entry.version) == (name, trial.version) and entry.model is not None:
                return trial, entry.model
        return None

    def _comparison(self, serving: Model, shadow: Model) -> Comparison:
        """Return the comparison of two versions; a new one if either has changed."""
        key = shadow.name, shadow.version
        known = self._comparisons.get(key)
        if known is not None and known.is_of(serving.manifest, shadow.manifest):
            return known
        with self._lock:
            comparison = Comparison(serving.manifest, shadow.manifest)
            self._comparisons.pop(key, None)
            while len(self._comparisons) >= _MAX_COMPARISONS:
                del self._comparisons[next(iter(self._comparisons))]
            self._comparisons[key] = comparison
            self._ended.pop(key, None)
            return comparison

    def execute(self, run: ShadowRun, is_idle: bool) -> None:
        """Carry out a run, unless its trial is over."""
        found = self._find(run.shadow.name, "shadow")
        if found is None or found[1] is not run.shadow:
            run.comparison.drop("ended")
        else:
            self._execute(run, is_idle)

    def end_lost(self) -> None:
        """End the trials whose version has had no bundle for some time."""
        now = time.monotonic()
        lost = {(trial.name, trial.version): trial for trial in lost_trials(self._registry)}
        self._lost_since = {key: self._lost_since.get(key, now) for key in lost}
        for key, trial in lost.items():
            if now - self._lost_since[key] >= self._lost_after_s:
                end_trial(self._registry, trial)
                self._ended[key] = trial.reason

    def running(self) -> list[tuple[str, Trial]]:
        """Return all trials that the pin file records, by model."""
        models = self._registry.pins.models
        return [(name, pins.trial) for name, pins in models.items() if pins.trial is not None]

    def comparison(self, name: str, version: int) -> Comparison | None:
        """Return the last comparison of a version; None if it wasn't shadowed."""
        return self._comparisons.get((name, version))

    def status(self, name: str, version: int) -> TrialStatus:
        """Return the state of a version's shadow, and its figures.

        Raises:
            UnknownModel: there is no such model, or no such version of it.
        """
        comparison = self.comparison(name, version)
        trial = self._registry.pins.of(name).trial
        is_shadowed = trial is not None and (trial.mode, trial.version) == ("shadow", version)
        reason = None if trial is not None else self._ended.get((name, version))
        state: Literal["none", "running", "not_ready", "ended"]
        state = "none" if comparison is None and reason is None else "ended"
        if is_shadowed:
            state = "running"
            try:
                self._registry.resolve(name, version)
                self._registry.resolve(name)
            except ModelError as err:
                state, reason = "not_ready", str(err)
        elif reason is None:
            _require_known(self._registry, name, version)
        return TrialStatus(
            state=state,
            share=trial.share if trial is not None and is_shadowed else None,
            reason=reason,
            serving=None if comparison is None else comparison.serving.version,
            report=Report() if comparison is None else comparison.report(),
        )


def _require_known(registry: Registry, name: str, version: int) -> None:
    """Check that there is such a version, ready or not.

    Raises:
        UnknownModel: there is none.
    """
    with suppress(ModelNotReady):
        registry.resolve(name, version)
