"""Write the Grafana dashboard: `python deploy/monitoring/dashboard.py`.

PANELS -> builders of grafana-foundation-sdk -> grafana/dashboards/hubel.json
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh

FILE = Path(__file__).parent / "grafana" / "dashboards" / "hubel.json"
SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
HERE = 'instance=~"$instance"'
RATE = "[$__rate_interval]"


@dataclass(frozen=True)
class Panel:
    """One panel; `queries` maps a legend to its PromQL."""

    title: str
    description: str
    unit: str
    queries: dict[str, str]
    stacked: bool = False


def quantiles(
    metric: str, by: str = "", shares: tuple[float, ...] = (0.5, 0.95, 0.99)
) -> dict[str, str]:
    """Return the queries of percentiles of a histogram."""
    labels = f"le, {by}" if by else "le"
    prefix = f"{{{{{by}}}}} " if by else ""
    rate = f"sum by ({labels}) (rate({metric}_bucket{{{HERE}}}{RATE}))"
    return {
        f"{prefix}p{round(100 * share)}": f"histogram_quantile({share}, {rate})" for share in shares
    }


def total(metric: str, by: str, matchers: str = "") -> dict[str, str]:
    """Return the query of a counter's rate, summed by a label."""
    selector = f"{HERE}, {matchers}" if matchers else HERE
    return {f"{{{{{by}}}}}": f"sum by ({by}) (rate({metric}{{{selector}}}{RATE}))"}


def gauges(**names: str) -> dict[str, str]:
    """Return the queries of gauges by instance."""
    return {f"{legend} {{{{instance}}}}": f"{name}{{{HERE}}}" for legend, name in names.items()}


STATS = (
    Panel("Up", "Instances that Prometheus reaches.", units.Short,
          {"": f'sum(up{{job="hubel", {HERE}}})'}),
    Panel("Models ready", "Models with a version that serves.", units.Short,
          {"": f"count(max by (model) (hubel_model_ready{{{HERE}}}) == 1) or vector(0)"}),
    Panel("Images per second", "Images that were processed.", units.Short,
          {"": f"sum(rate(hubel_images_total{{{HERE}}}{RATE}))"}),
    Panel("Errors", "Share of responses with a status from 500.", units.PercentUnit,
          {"": f'(sum(rate(hubel_requests_total{{{HERE}, status=~"5.."}}{RATE})) or vector(0))'
               f" / sum(rate(hubel_requests_total{{{HERE}}}{RATE}))"}),
)  # fmt: skip

ROWS = {
    "Requests": (
        Panel("Requests by status", "", units.RequestsPerSecond,
              total("hubel_requests_total", "status"), stacked=True),
        Panel("Requests by route", "", units.RequestsPerSecond,
              total("hubel_requests_total", "route"), stacked=True),
        Panel("Request time", "From the first byte to the end of the response.", units.Seconds,
              quantiles("hubel_request_seconds")),
        Panel("Rejections by reason", "Codes of docs/api.md.", units.CountsPerSecond,
              total("hubel_rejections_total", "code"), stacked=True),
        Panel("Requests by key", "Requests with a named key.", units.RequestsPerSecond,
              total("hubel_key_requests_total", "key"), stacked=True),
    ),
    "Queue and memory": (
        Panel("Queue", "Images that wait, and how many may wait.", units.Short,
              gauges(waiting="hubel_queue_depth", large="hubel_queue_large_depth",
                     capacity="hubel_queue_capacity")),
        Panel("Expected wait", "Time that a new image would wait.", units.Seconds,
              gauges(wait="hubel_queue_wait_seconds")),
        Panel("Memory of requests", "Held by requests, and the limit.", units.BytesIEC,
              gauges(held="hubel_held_bytes", limit="hubel_memory_bytes")),
        Panel("Process", "Resident memory of the process.", units.BytesIEC,
              gauges(resident="process_resident_memory_bytes")),
        Panel("Cores", "Processor time per second.", units.Short,
              {"{{instance}}": f'rate(process_cpu_seconds_total{{job="hubel", {HERE}}}{RATE})'}),
        Panel("Open files", "Open files, and the limit.", units.Short,
              {"open {{instance}}": f'process_open_fds{{job="hubel", {HERE}}}',
               "limit {{instance}}": f'process_max_fds{{job="hubel", {HERE}}}'}),
    ),
    "Models": (
        Panel("Images by model", "", units.CountsPerSecond,
              {"{{model}} {{version}}":
               f"sum by (model, version) (rate(hubel_images_total{{{HERE}}}{RATE}))"},
              stacked=True),
        Panel("Decisions", "Predictions by decision.", units.CountsPerSecond,
              total("hubel_decisions_total", "decision"), stacked=True),
        Panel("Time by stage", "95th percentile.", units.Seconds,
              {"{{stage}}": "histogram_quantile(0.95, sum by (le, stage) "
               f"(rate(hubel_stage_seconds_bucket{{{HERE}}}{RATE})))"}),
        Panel("Ready", "1 for a version that serves.", units.Short,
              {"{{model}} {{version}} {{precision}}":
               f"min by (model, version, precision) (hubel_model_ready{{{HERE}}})"}),
        Panel("Bundles loaded", "Promoted and refused, since the start.", units.Short,
              {"{{model}} {{outcome}}":
               f"sum by (model, outcome) (hubel_promotions_total{{{HERE}}})"}),
        Panel("Device", "Instances by device; the reason of a fallback.", units.Short,
              {"{{device}} {{note}}": f"sum by (device, note) (hubel_device{{{HERE}}})"}),
    ),
    "Predictions and drift": (
        Panel("Drift", "Distance from the photos of training, as a multiple of the limit: "
              "significant from 1. docs/metrics.md explains it.", units.Short,
              {"{{of}} {{model}} {{version}}": "max by (of, model, version) "
               f"(hubel_drift_psi{{{HERE}}} / hubel_drift_limit{{{HERE}}} or label_replace("
               f"hubel_drift_distance{{{HERE}}} / hubel_drift_distance_limit{{{HERE}}}, "
               '"of", "embedding", "", ""))'}),
        Panel("Window of drift", "Predictions that drift is computed of: the last 2,000.",
              units.Short, {"{{model}} {{version}} {{instance}}": f"hubel_drift_images{{{HERE}}}"}),
        Panel("Labels", "The five most frequent of each moment.", units.CountsPerSecond,
              {"{{model}} {{label}}": f"topk(5, sum by (model, label) "
               f"(rate(hubel_labels_total{{{HERE}, label!=''}}{RATE})))"}),
        Panel("Confidence", "The highest probability of each prediction: percentiles.",
              units.PercentUnit, quantiles("hubel_confidence", "model", (0.05, 0.25, 0.5))),
    ),
    "Shadow and canary": (
        Panel("Share", "Share of the images that a version on trial gets: docs/trials.md.",
              units.PercentUnit,
              {"{{mode}} {{model}} {{version}}":
               f"max by (mode, model, version) (hubel_trial_share{{{HERE}}})"}),
        Panel("Results of shadows", "Images that both versions have run on, by whether they agree.",
              units.CountsPerSecond,
              {"{{result}} {{model}} {{version}}": f"sum by (result, model, version) "
               f"(rate(hubel_shadow_images_total{{{HERE}}}{RATE}))"},
              stacked=True),
        Panel("Time of a run", "Mean, on the same images.", units.Seconds,
              {"{{of}} {{model}} {{version}}": f"sum by (of, model, version) "
               f"(rate(hubel_shadow_run_seconds_sum{{{HERE}}}{RATE})) / "
               f"sum by (of, model, version) "
               f"(rate(hubel_shadow_run_seconds_count{{{HERE}}}{RATE}))"}),
        Panel("Cost of shadows", "Processor time per second.", units.Short,
              {"{{model}} {{version}}":
               f"sum by (model, version) (rate(hubel_shadow_seconds_total{{{HERE}}}{RATE}))"}),
    ),
}  # fmt: skip


def _targets(panel: Panel) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery().expr(query).legend_format(legend).ref_id(chr(ord("A") + number))
        for number, (legend, query) in enumerate(panel.queries.items())
    ]


def _stat(panel: Panel) -> stat.Panel:
    built = stat.Panel().title(panel.title).description(panel.description).unit(panel.unit)
    built = built.datasource(SOURCE).height(4).span(6)
    built = built.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    for target in _targets(panel):
        built = built.with_target(target)
    return built


def _series(panel: Panel) -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(True).placement(LegendPlacement.BOTTOM)
    built = timeseries.Panel().title(panel.title).description(panel.description).unit(panel.unit)
    built = built.datasource(SOURCE).height(8).span(12).min(0).fill_opacity(10).line_width(1)
    built = built.legend(legend.display_mode(LegendDisplayMode.LIST))
    built = built.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    if panel.stacked:
        built = built.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    for target in _targets(panel):
        built = built.with_target(target)
    return built


def render() -> str:
    """Return the dashboard as JSON."""
    instance = (
        dashboard.QueryVariable("instance")
        .label("Instance")
        .datasource(SOURCE)
        .query('label_values(up{job="hubel"}, instance)')
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )
    board = dashboard.Dashboard("Hubel").uid("hubel").tags(["hubel"]).refresh("30s")
    board = board.time("now-1h", "now").timezone("browser").readonly().with_variable(instance)
    for panel in STATS:
        board = board.with_panel(_stat(panel))
    for title, panels in ROWS.items():
        board = board.with_row(dashboard.Row(title))
        for panel in panels:
            board = board.with_panel(_series(panel))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    FILE.write_text(render(), encoding="utf-8")
