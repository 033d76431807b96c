"""The Prometheus metrics of drift, computed when they are requested."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.runtime.drift import DriftMonitor
from app.runtime.registry import Registry


class DriftMetrics(Collector):
    """The drift of every model that is ready."""

    def __init__(self, registry: Registry, monitor: DriftMonitor) -> None:
        self._models = registry
        self._monitor = monitor

    def collect(self) -> Iterable[Metric]:
        """Return the gauges; those of the index exist once there are enough predictions."""
        version = ["model", "version"]
        images = GaugeMetricFamily(
            "hubel_drift_images",
            "Predictions in the window that drift is computed of.",
            labels=version,
        )
        psi = GaugeMetricFamily(
            "hubel_drift_psi",
            "Population stability index of decisions, labels and confidence.",
            labels=["of", *version],
        )
        limit = GaugeMetricFamily(
            "hubel_drift_limit",
            "Population stability index from which the drift is significant.",
            labels=["of", *version],
        )
        distance = GaugeMetricFamily(
            "hubel_drift_distance",
            "Distance of the mean embedding from that of the baseline.",
            labels=version,
        )
        distance_limit = GaugeMetricFamily(
            "hubel_drift_distance_limit",
            "Distance of the mean embedding from which the drift is significant.",
            labels=version,
        )
        for entry in self._models.entries:
            if entry.model is None or entry.model.manifest.baseline is None:
                continue
            drift = self._monitor.drift(entry.model)
            name, number = entry.name, str(entry.version)
            images.add_metric([name, number], drift.images)
            for statistic in drift.statistics:
                psi.add_metric([statistic.of, name, number], statistic.psi)
                limit.add_metric([statistic.of, name, number], statistic.limit)
            if drift.embedding is not None:
                distance.add_metric([name, number], drift.embedding.distance)
                distance_limit.add_metric([name, number], drift.embedding.limit)
        return images, psi, limit, distance, distance_limit
