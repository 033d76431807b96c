"""The Prometheus metrics of predictions: decisions, labels and confidence.

Classified -> its decision, its highest probability, its labels -> counters of the model's version
"""

from collections.abc import Callable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram

from app.runtime.accepted_labels import predicted_labels
from app.runtime.classifier import Classified
from app.runtime.loaded_model import Model

MAX_LABELS = 50
"""The most labels of a model's version that have a time series of their own."""
OTHER_LABELS = ""
"""The label of the time series for all others; no label has an empty name."""
_CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class PredictionMetrics:
    """The metrics of predictions, in a Prometheus registry that others share.

    Args:
        registry: the Prometheus registry.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        version = ["model", "version"]
        decisions = Counter(
            "hubel_decisions",
            "Predictions by decision: accepted, unsure, unknown, or none.",
            ["decision", *version],
            registry=registry,
        )
        confidence = Histogram(
            "hubel_confidence",
            "Highest probability of each prediction.",
            version,
            buckets=_CONFIDENCE_BUCKETS,
            registry=registry,
        )
        self._labels = Counter(
            "hubel_labels",
            "Predictions by label: the most probable one; of a multi-label model, each accepted "
            f"one. The label is empty for labels beyond the first {MAX_LABELS} that occurred.",
            ["label", *version],
            registry=registry,
        )
        self._decisions = cache(decisions.labels)
        self._confidence = cache(confidence.labels)
        self._counters: dict[tuple[str, int], dict[str, Callable[[], None]]] = {}

    def observe(self, result: Classified, model: Model) -> None:
        """Count one prediction of `model`."""
        name, version = result.model, result.version
        self._decisions(result.decision or "none", name, version).inc()
        self._confidence(name, version).observe(float(result.probabilities.max()))
        counters = self._counters.setdefault((name, version), {})
        for index in predicted_labels(result.probabilities, model.manifest):
            label = model.manifest.labels[index].name
            count = counters.get(label) or self._add_counter(counters, label, name, version)
            count()

    def _add_counter(
        self, counters: dict[str, Callable[[], None]], label: str, name: str, version: int
    ) -> Callable[[], None]:
        """Return the counter of a label that has none, which is that of all others if many have."""
        if len(counters) < MAX_LABELS:
            counters[label] = count = self._labels.labels(label, name, version).inc
            return count
        return self._labels.labels(OTHER_LABELS, name, version).inc
