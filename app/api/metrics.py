"""The Prometheus metrics of the service: GET /metrics."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from app.api.scrapes import Scrapes
from app.runtime.classifier import Stages
from app.runtime.registry import Registry
from app.runtime.session import DeviceChoice

_STAGE_BUCKETS_S = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2, 10)
_REQUEST_BUCKETS_S = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.5, 5, 10, 30)


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
        self.requests = cache(requests.labels)
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
        self._collectors.register(_Models(registry))
        self.scrapes = Scrapes(self._exposition)

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

    def _exposition(self) -> bytes:
        """Return the metrics in Prometheus's text format."""
        return generate_latest(self._collectors)


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
        return ready, promotions
