"""What is counted, for Prometheus: GET /metrics."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from app.runtime.classifier import Stages
from app.runtime.registry import Registry
from app.runtime.session import DeviceChoice

_STAGE_BUCKETS_S = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2, 10)
_REQUEST_BUCKETS_S = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.5, 5, 10, 30)


class TimedResult(Protocol):
    """What account is kept of: one photo, answered."""

    @property
    def model(self) -> str:
        """Whose answer."""
        ...

    @property
    def version(self) -> int:
        """Of the model."""
        ...

    @property
    def stages(self) -> Stages:
        """What each stage took."""
        ...


class Metrics:
    """The service's metrics, in a registry of their own.

    Each is called with its labels' values. What it gives is kept: for prometheus_client to find
    that again costs more than to count.

    Args:
        depth: tells how many images are waiting.
        capacity: tells how many may.
        held_bytes: tells how many bytes of bodies are held.
        registry: tells what models there are.
        device: where they run.
    """

    def __init__(
        self,
        *,
        depth: Callable[[], float],
        capacity: Callable[[], float],
        held_bytes: Callable[[], float],
        registry: Registry,
        device: DeviceChoice,
    ) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        requests = Counter(
            "hubel_requests",
            "Requests; model and version where one answered.",
            ["method", "route", "status", "model", "version"],
            registry=self.registry,
        )
        seconds = Histogram(
            "hubel_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["route"],
            buckets=_REQUEST_BUCKETS_S,
            registry=self.registry,
        )
        images = Counter(
            "hubel_images", "Images answered.", ["model", "version"], registry=self.registry
        )
        stages = Histogram(
            "hubel_stage_seconds",
            "Seconds of one image in one stage: queue, decode, resize, run.",
            ["stage", "model", "version"],
            buckets=_STAGE_BUCKETS_S,
            registry=self.registry,
        )
        rejections = Counter(
            "hubel_rejections", "Requests and images refused.", ["code"], registry=self.registry
        )
        self.requests = cache(requests.labels)
        self.seconds = cache(seconds.labels)
        self.images = cache(images.labels)
        self.stages = cache(stages.labels)
        self.rejections = cache(rejections.labels)
        self._gauge("hubel_queue_depth", "Images waiting.", depth)
        self._gauge("hubel_queue_capacity", "Images that may wait.", capacity)
        self._gauge("hubel_held_bytes", "Bytes of request bodies held.", held_bytes)
        Gauge(
            "hubel_device",
            "Where models run; `note` says why it is not what was hoped for.",
            ["device", "note"],
            registry=self.registry,
        ).labels(device.device, device.note or "").set(1)
        self.registry.register(_Models(registry))

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(value)

    def observe(self, told: TimedResult) -> None:
        """Count one image that was answered."""
        self.images(told.model, told.version).inc()
        stages = told.stages
        for stage, seconds in (
            ("queue", stages.queue_s),
            ("decode", stages.decode_s),
            ("resize", stages.resize_s),
            ("run", stages.run_s),
        ):
            self.stages(stage, told.model, told.version).observe(seconds)

    def exposition(self) -> bytes:
        """The metrics in Prometheus's text format."""
        return generate_latest(self.registry)


class _Models(Collector):
    """What the registry knows, read when it is asked for."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        ready = GaugeMetricFamily(
            "hubel_model_ready",
            "1 for a model that serves, 0 for one that was refused or unloaded.",
            labels=["model", "version", "precision"],
        )
        for entry in self._registry.entries:
            precision = entry.model.session.precision if entry.model else ""
            ready.add_metric([entry.name, str(entry.version or ""), precision], entry.ready)
        promotions = CounterMetricFamily(
            "hubel_promotions", "Bundles promoted, and refused.", labels=["model", "outcome"]
        )
        for (model, outcome), count in self._registry.promotions.copy().items():
            promotions.add_metric([model, outcome], count)
        return ready, promotions
