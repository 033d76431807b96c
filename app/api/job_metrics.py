"""The Prometheus metrics of jobs, read when they are requested."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.jobs.runner import JobRunner


class JobMetrics(Collector):
    """Jobs that ended since the start, and those that wait or run."""

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        ended = CounterMetricFamily(
            "hubel_jobs",
            "Jobs that ended: done, failed, cancelled, interrupted.",
            labels=["kind", "state"],
        )
        for (kind, state), count in self._runner.ended.copy().items():
            ended.add_metric([kind, state], count)
        versions = CounterMetricFamily(
            "hubel_job_versions",
            "Versions that jobs made: promoted, offered, held.",
            labels=["outcome"],
        )
        for outcome, count in self._runner.outcomes.copy().items():
            versions.add_metric([outcome], count)
        return (
            ended,
            versions,
            GaugeMetricFamily("hubel_jobs_queued", "Jobs that wait.", self._runner.queued),
            GaugeMetricFamily("hubel_jobs_running", "1 while a job runs.", self._runner.running),
        )
