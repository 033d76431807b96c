"""The Prometheus metrics of the photos that are kept, read when they are requested."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.captures import Recorder


class CaptureMetrics(Collector):
    """Photos that were kept or dropped since the start, and what the store holds."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; those of the store are left out while it can't be read."""
        kept = CounterMetricFamily(
            "hubel_captures", "Photos that were kept, by reason.", labels=["reason"]
        )
        for reason, count in self._recorder.kept.copy().items():
            kept.add_metric([reason], count)
        dropped = CounterMetricFamily(
            "hubel_captures_dropped",
            "Photos that were to be kept and weren't: queue_full, store_full, unreadable, error.",
            labels=["reason"],
        )
        for reason, count in self._recorder.dropped.copy().items():
            dropped.add_metric([reason], count)
        totals = self._recorder.totals()
        if totals is None:
            return kept, dropped
        return (
            kept,
            dropped,
            GaugeMetricFamily("hubel_captures_held", "Photos in the store.", totals.photos),
            GaugeMetricFamily("hubel_captures_held_bytes", "Their bytes.", totals.bytes),
        )
