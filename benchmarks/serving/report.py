"""The report: medians over the rounds as a table, and the claims with their ratios."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from app.runtime.host import available_cores

Key = tuple[str, str, int]
"""The server's name, the kind of bodies, the number of clients."""
BASELINES = ("fastapi", "litserve", "mosec")
_CORES = available_cores()


@dataclass(frozen=True)
class Figures:
    """The figures of one point; NaN if one was not measured."""

    per_s: float
    cpu_ms: float = float("nan")
    """CPU time of all the server's processes for one request."""
    p50_ms: float = float("nan")
    p99_ms: float = float("nan")
    pss_mb: float = float("nan")
    client_cores: float = float("nan")
    """Cores that the load generator kept busy."""
    idle: float = float("nan")
    """Share of the machine that was idle."""
    failed: float = 0
    """Responses other than 200."""


def show(rounds: Mapping[Key, Sequence[Figures]]) -> None:
    """Print the table and the claims."""
    medians = {key: _median(figures) for key, figures in rounds.items()}
    print(
        "| photos | clients | server | req/s | p50 ms | p99 ms | CPU ms | PSS MB | client cores "
        "| idle % | not 200 |"
    )
    print("|---" * 11 + "|")
    for (server, kind, clients), f in sorted(medians.items(), key=lambda item: item[0][1:]):
        cells = "".join(
            f" {'' if math.isnan(value) else format(value, '.1f')} |"
            for value in (f.per_s, f.p50_ms, f.p99_ms, f.cpu_ms, f.pss_mb)
        )
        cells += "".join(
            f" {'' if math.isnan(value) else format(value, '.2f')} |"
            for value in (f.client_cores, 100 * f.idle)
        )
        print(f"| {kind} | {clients or ''} | {server} |{cells} {f.failed:.0f} |")
    print()
    print("| claim | expected | measured (each round) | |")
    print("|---|---|---|---|")
    for text, expected, ratios in _claims(rounds):
        ratio = statistics.median(ratios)
        met = ratio >= expected if expected > 0 else ratio <= -expected
        sign = "≥" if expected > 0 else "≤"
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        verdict = "yes" if met else "no"
        print(f"| {text} | {sign} {abs(expected)} | {ratio:.2f} ({spread}) | {verdict} |")


def _median(figures: Sequence[Figures]) -> Figures:
    names = [field.name for field in fields(Figures)]
    return Figures(**{n: statistics.median(getattr(f, n) for f in figures) for n in names})


def _claims(rounds: Mapping[Key, Sequence[Figures]]) -> list[tuple[str, float, list[float]]]:
    """Return each claim, its expected ratio (negative: at most), and the ratio of each round."""
    claims: list[tuple[str, float, list[float]]] = []

    def values(figure: str, server: str, kind: str, clients: int) -> list[float]:
        return [getattr(figures, figure) for figures in rounds[server, kind, clients]]

    def compare(text: str, expected: float, ours: list[float], theirs: list[float]) -> None:
        ratios = [a / b if b else math.inf for a, b in zip(ours, theirs, strict=True)]
        claims.append((text, expected, ratios))

    def against_baselines(
        text: str, expected: float, suffix: str, kind: str, clients: int, other: str | None = None
    ) -> None:
        """Compare requests/s, or the median latency of a single client, with the best baseline."""
        if (f"hubel{suffix}", kind, clients) not in rounds:
            return
        figure, best = ("p50_ms", min) if clients == 1 else ("per_s", max)
        names = [name + (suffix if other is None else other) for name in BASELINES]
        columns = zip(*(values(figure, name, kind, clients) for name in names), strict=True)
        compare(
            f"{kind}, {clients} client{'s' if clients > 1 else ''}, {text}",
            expected,
            values(figure, f"hubel{suffix}", kind, clients),
            [best(column) for column in columns],
        )

    for suffix, precision in (("", "fp32"), (" float", "imported fp32"), (" int8", "int8")):
        for clients in (8, 32):
            against_baselines(f"{precision}: req/s / best", 1.0, suffix, "480", clients)
        against_baselines(f"{precision}: p50 / best", -0.95, suffix, "480", 1, f"{suffix} 1")
        server, limit = (f"hubel{suffix}", "480", 32), (f"limit{suffix}", "480", 0)
        if server in rounds and limit in rounds:
            left = [(_CORES - f.client_cores) / _CORES for f in rounds[server]]
            bound = [f.per_s * share for f, share in zip(rounds[limit], left, strict=True)]
            ours = values("per_s", *server)
            compare(
                f"480, 32 clients, {precision}: req/s / limit left by clients", 0.92, ours, bound
            )
            idle = [f.idle for f in rounds[server]]
            claims.append((f"480, 32 clients, {precision}: idle share", -0.02, idle))
        mosec = (f"mosec{suffix}", "480", 8)
        if mosec in rounds:
            ours = values("cpu_ms", f"hubel{suffix}", "480", 8)
            compare(
                f"480, 8 clients, {precision}: CPU / mosec's", -1.0, ours, values("cpu_ms", *mosec)
            )
    for clients in (8, 32):
        against_baselines("fp32: req/s / best", 1.0, "", "web", clients)
    against_baselines("fp32: req/s / best", 3.5, "", "12mp", 8)
    against_baselines("fp32: req/s / best with draft()", 1.1, "", "12mp", 8, " draft")
    at_32, at_128 = (values("per_s", "hubel", "480", clients) for clients in (32, 128))
    compare("480, 128 clients, fp32: req/s / 32 clients", 1.0, at_128, at_32)
    latencies = (values(figure, "hubel", "480", 128) for figure in ("p99_ms", "p50_ms"))
    compare("480, 128 clients, fp32: p99 / p50", -2.0, *latencies)
    bulk, limit_per_s = (values("per_s", name, "480", 0) for name in ("bulk", "limit"))
    compare("`hubel classify`: images/s / limit", 0.95, bulk, limit_per_s)
    return claims
