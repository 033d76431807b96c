"""The Prometheus metrics of the service: GET /metrics."""

import platform
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from app import __version__
from app.api import exposition
from app.api.capture_metrics import CaptureMetrics
from app.api.drift_metrics import DriftMetrics
from app.api.job_metrics import JobMetrics
from app.api.prediction_metrics import PredictionMetrics
from app.api.scrapes import Scrapes
from app.api.trial_metrics import TrialMetrics
from app.captures import Recorder
from app.jobs.runner import JobRunner
from app.runtime.batching import sizes
from app.runtime.classifier import Stages
from app.runtime.drift import DriftMonitor
from app.runtime.registry import Registry
from app.runtime.session import DeviceChoice
from app.runtime.trials import Trials

_STAGE_BUCKETS_S = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2, 10)
_REQUEST_BUCKETS_S = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.5, 5, 10, 30)
_IMAGES_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
_ONNX_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
"""The builds of ONNX Runtime; one of them is installed."""


class TimedResult(Protocol):
    """The result of one photo, with the times of its stages."""

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    @property
    def version(self) -> int:
        """The model's version."""
        ...

    @property
    def stages(self) -> Stages:
        """The time of each stage."""
        ...


class Metrics:
    """The service's metrics, in a Prometheus registry of their own.

    Call an attribute with label values to get its child: `metrics.images(model, version)`. Children
    are cached, because prometheus_client takes longer to look one up than to count.

    Args:
        depth: returns the number of images waiting.
        capacity: returns the number of images that may wait, at the present estimate.
        large_depth: returns the number of large images waiting.
        wait_s: returns the seconds that a new image is expected to wait.
        held_bytes: returns the bytes of memory that requests hold.
        memory_bytes: returns the bytes that they may hold.
        registry: the models.
        device: the device that models run on.
        drift: the drift of their predictions.
        trials: the versions that are shadowed or canaried.
        recorder: what keeps photos; None: nothing does.
        jobs: what runs training jobs; None: nothing does.
    """

    def __init__(
        self,
        *,
        depth: Callable[[], float],
        capacity: Callable[[], float],
        large_depth: Callable[[], float],
        wait_s: Callable[[], float],
        held_bytes: Callable[[], float],
        memory_bytes: Callable[[], float],
        registry: Registry,
        device: DeviceChoice,
        drift: DriftMonitor,
        trials: Trials,
        recorder: Recorder | None,
        jobs: JobRunner | None,
    ) -> None:
        self._collectors = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._collectors)
        requests = Counter(
            "hubel_requests",
            "Requests; model and version are empty if no model was used.",
            ["method", "route", "status", "model", "version"],
            registry=self._collectors,
        )
        seconds = Histogram(
            "hubel_request_seconds",
            "Seconds from a request's head to the end of its response.",
            ["route"],
            buckets=_REQUEST_BUCKETS_S,
            registry=self._collectors,
        )
        images = Counter(
            "hubel_images",
            "Images processed successfully.",
            ["model", "version"],
            registry=self._collectors,
        )
        stages = Histogram(
            "hubel_stage_seconds",
            "Seconds per image in each stage: queue, decode, resize, run.",
            ["stage", "model", "version"],
            buckets=_STAGE_BUCKETS_S,
            registry=self._collectors,
        )
        rejections = Counter(
            "hubel_rejections", "Requests and images rejected.", ["code"], registry=self._collectors
        )
        invalid_outputs = Counter(
            "hubel_invalid_outputs",
            "Images for which a model returned NaN or infinity.",
            ["model", "version"],
            registry=self._collectors,
        )
        self.images_per_request = Histogram(
            "hubel_request_images",
            "Images of each request that queued any.",
            buckets=_IMAGES_BUCKETS,
            registry=self._collectors,
        ).observe
        self.predictions = PredictionMetrics(self._collectors)
        key_requests = Counter(
            "hubel_key_requests",
            "Requests with a named key.",
            ["key", "status"],
            registry=self._collectors,
        )
        key_images = Counter(
            "hubel_key_images",
            "Images in requests with a named key.",
            ["key"],
            registry=self._collectors,
        )
        self.requests = cache(requests.labels)
        self.key_requests = cache(key_requests.labels)
        self.key_images = cache(key_images.labels)
        self.seconds = cache(seconds.labels)
        self.images = cache(images.labels)
        self.stages = cache(stages.labels)
        self.rejections = cache(rejections.labels)
        self.invalid_outputs = cache(invalid_outputs.labels)
        self._gauge("hubel_queue_depth", "Images waiting.", depth)
        self._gauge(
            "hubel_queue_capacity",
            "Maximum number of images waiting, by HUBEL_QUEUE_WAIT_S and the measured time.",
            capacity,
        )
        self._gauge("hubel_queue_large_depth", "Large images waiting.", large_depth)
        self._gauge(
            "hubel_queue_wait_seconds", "Seconds that a new image is expected to wait.", wait_s
        )
        self._gauge("hubel_held_bytes", "Bytes of memory that requests hold.", held_bytes)
        self._gauge(
            "hubel_memory_bytes", "Bytes of memory that all requests may hold.", memory_bytes
        )
        Gauge(
            "hubel_device",
            "Device that models run on; `note` is the reason for a fallback.",
            ["device", "note"],
            registry=self._collectors,
        ).labels(device.device, device.note or "").set(1)
        Info("hubel_build", "Versions of this build.", registry=self._collectors).info(_build())
        self._collectors.register(_Models(registry))
        self._collectors.register(DriftMetrics(registry, drift))
        self._collectors.register(TrialMetrics(trials))
        if recorder is not None:
            self._collectors.register(CaptureMetrics(recorder))
        if jobs is not None:
            self._collectors.register(JobMetrics(jobs))
        self.scrapes = Scrapes(partial(exposition.write, self._collectors))

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self._collectors).set_function(value)

    def observe(self, result: TimedResult) -> None:
        """Count one image that was processed, and the times of its stages."""
        self.images(result.model, result.version).inc()
        stages = result.stages
        for stage, seconds in (
            ("queue", stages.queue_s),
            ("decode", stages.decode_s),
            ("resize", stages.resize_s),
            ("run", stages.run_s),
        ):
            self.stages(stage, result.model, result.version).observe(seconds)


class _Models(Collector):
    """The metrics of the models, read from the registry at each scrape."""

    def __init__(self, registry: Registry) -> None:
        self._models = registry

    def collect(self) -> Iterable[Metric]:
        ready = GaugeMetricFamily(
            "hubel_model_ready",
            "1 for a model that is ready, 0 for one that was refused or unloaded.",
            labels=["model", "version", "precision"],
        )
        for entry in self._models.entries:
            precision = entry.model.session.precision if entry.model else ""
            ready.add_metric([entry.name, str(entry.version or ""), precision], entry.ready)
        promotions = CounterMetricFamily(
            "hubel_promotions",
            "Bundles loaded, by outcome: promoted or refused.",
            labels=["model", "outcome"],
        )
        for (model, outcome), count in self._models.promotions.copy().items():
            promotions.add_metric([model, outcome], count)
        batches = HistogramMetricFamily(
            "hubel_batch_images",
            "Images of each run on a GPU. On a CPU each image runs alone and nothing is observed.",
            labels=["model", "version"],
        )
        for entry in self._models.entries:
            if entry.model is not None and entry.model.batches is not None:
                cumulative, images = _cumulative(entry.model.batches.runs_by_images.copy())
                batches.add_metric([entry.name, str(entry.version)], cumulative, images)
        return ready, promotions, batches


def _cumulative(runs_by_images: Mapping[int, int]) -> tuple[list[tuple[str, float]], int]:
    """Return the buckets of a histogram of batch sizes, and the images of all batches."""
    buckets = [
        (str(float(limit)), float(sum(n for size, n in runs_by_images.items() if size <= limit)))
        for limit in sizes()
    ]
    runs = float(sum(runs_by_images.values()))
    return [*buckets, ("+Inf", runs)], sum(size * n for size, n in runs_by_images.items())


def _build() -> dict[str, str]:
    """Return the versions of Hubel, Python and ONNX Runtime."""
    versions = {"version": __version__, "python": platform.python_version()}
    for distribution in _ONNX_RUNTIMES:
        with suppress(PackageNotFoundError):
            versions["onnxruntime"] = version(distribution)
    return versions
