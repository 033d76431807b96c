"""What is counted, for Prometheus: GET /metrics."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from app.runtime.classifier import Classified
from app.runtime.registry import Entry

_STAGE_BUCKETS_S = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2, 10)
_REQUEST_BUCKETS_S = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.5, 5, 10, 30)


class Metrics:
    """The service's metrics, in a registry of their own.

    Args:
        depth: tells how many images are waiting.
        capacity: tells how many may.
        held_bytes: tells how many bytes of bodies are held.
        entries: tells what models there are.
    """

    def __init__(
        self,
        *,
        depth: Callable[[], float],
        capacity: Callable[[], float],
        held_bytes: Callable[[], float],
        entries: Callable[[], list[Entry]],
    ) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.requests = Counter(
            "hubel_requests", "Requests.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "hubel_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["route"],
            buckets=_REQUEST_BUCKETS_S,
            registry=self.registry,
        )
        self.images = Counter(
            "hubel_images", "Images classified.", ["model", "version"], registry=self.registry
        )
        self.stages = Histogram(
            "hubel_stage_seconds",
            "Seconds of one image in one stage: queue, decode, resize, run.",
            ["stage"],
            buckets=_STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self.rejections = Counter(
            "hubel_rejections", "Requests and images refused.", ["code"], registry=self.registry
        )
        self._gauge("hubel_queue_depth", "Images waiting.", depth)
        self._gauge("hubel_queue_capacity", "Images that may wait.", capacity)
        self._gauge("hubel_held_bytes", "Bytes of request bodies held.", held_bytes)
        self._models = Gauge(
            "hubel_model_ready",
            "1 for a model that serves, 0 for one that was refused.",
            ["model", "version", "precision"],
            registry=self.registry,
        )
        self._entries = entries

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self.registry).set_function(value)

    def observe(self, classified: Classified) -> None:
        """Count one image that was classified."""
        self.images.labels(classified.model, classified.version).inc()
        stages = classified.stages
        for stage, seconds in (
            ("queue", stages.queue_s),
            ("decode", stages.decode_s),
            ("resize", stages.resize_s),
            ("run", stages.run_s),
        ):
            self.stages.labels(stage).observe(seconds)

    def exposition(self) -> bytes:
        """The metrics in Prometheus's text format."""
        self._models.clear()
        for entry in self._entries():
            precision = entry.model.session.precision if entry.model else ""
            self._models.labels(entry.name, entry.version or "", precision).set(entry.ready)
        return generate_latest(self.registry)
