"""The Prometheus metrics of shadows and canaries, read when they are requested."""

from collections.abc import Iterable

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from app.runtime.trials import Comparison, Trials


class TrialMetrics(Collector):
    """The share of every trial, and the comparison of every shadowed version."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials

    def collect(self) -> Iterable[Metric]:
        """Return the metrics; a version has them while it is tried."""
        version = ["model", "version"]
        share = GaugeMetricFamily(
            "hubel_trial_share",
            "Share of images or requests of a version that is shadowed or canaried.",
            labels=["mode", *version],
        )
        images = CounterMetricFamily(
            "hubel_shadow_images",
            "Images that a shadowed version has run on, by result: agreed, disagreed or failed.",
            labels=["result", *version],
        )
        dropped = CounterMetricFamily(
            "hubel_shadow_dropped",
            "Images that were selected for a shadowed version and not run, by reason.",
            labels=["reason", *version],
        )
        difference = SummaryMetricFamily(
            "hubel_shadow_difference",
            "Largest difference of a label's probability between both versions.",
            labels=version,
        )
        seconds = CounterMetricFamily(
            "hubel_shadow_seconds", "Seconds spent on shadow runs.", labels=version
        )
        runs = SummaryMetricFamily(
            "hubel_shadow_run_seconds",
            "Seconds of the runs of both versions on the same images.",
            labels=["of", *version],
        )
        for name, trial in self._trials.running():
            of = name, str(trial.version)
            share.add_metric([trial.mode, *of], trial.share)
            comparison = self._trials.comparison(name, trial.version)
            if trial.mode == "shadow" and comparison is not None:
                _add_images(images, comparison, of)
                for reason, count in comparison.dropped.copy().items():
                    dropped.add_metric([reason, *of], count)
                difference.add_metric(of, comparison.images, comparison.difference_sum)
                seconds.add_metric(of, comparison.cost.spent_s)
                for which, total_s in (
                    ("serving", comparison.serving_run_s),
                    ("shadow", comparison.shadow_run_s),
                ):
                    runs.add_metric([which, *of], comparison.timed_runs, total_s)
        return share, images, dropped, difference, seconds, runs


def _add_images(images: CounterMetricFamily, comparison: Comparison, of: tuple[str, str]) -> None:
    for result, count in (
        ("agreed", comparison.agreed),
        ("disagreed", comparison.images - comparison.agreed),
        ("failed", comparison.failed),
    ):
        images.add_metric([result, *of], count)
