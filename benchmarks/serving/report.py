"""The report: medians over the rounds as a table, and the claims with their ratios."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

Key = tuple[str, str, int]
"""The server's name, the kind of bodies, the number of clients."""
BASELINES = ("fastapi", "litserve", "mosec")


@dataclass(frozen=True)
class Figures:
    """The figures of one point; NaN if one was not measured."""

    per_s: float
    cpu_ms: float = float("nan")
    """CPU time of all the server's processes for one request."""
    p50_ms: float = float("nan")
    p99_ms: float = float("nan")
    pss_mb: float = float("nan")
    failed: float = 0
    """Responses other than 200."""


def show(rounds: Mapping[Key, Sequence[Figures]]) -> None:
    """Print the table and the claims."""
    medians = {key: _median(figures) for key, figures in rounds.items()}
    print("| photos | clients | server | req/s | p50 ms | p99 ms | CPU ms | PSS MB | not 200 |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (server, kind, clients), f in sorted(medians.items(), key=lambda item: item[0][1:]):
        cells = "".join(
            f" {'' if math.isnan(value) else format(value, '.1f')} |"
            for value in (f.per_s, f.p50_ms, f.p99_ms, f.cpu_ms, f.pss_mb)
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

    def per_s(server: str, kind: str, clients: int) -> list[float]:
        return [f.per_s for f in rounds[server, kind, clients]]

    def best(suffix: str, kind: str, clients: int) -> list[float]:
        keys = [(name + suffix, kind, clients) for name in BASELINES]
        return [max(f.per_s for f in each) for each in zip(*map(rounds.get, keys), strict=True)]

    def fastest(suffix: str, kind: str, clients: int) -> list[float]:
        keys = [(name + suffix, kind, clients) for name in BASELINES]
        return [min(f.p50_ms for f in each) for each in zip(*map(rounds.get, keys), strict=True)]

    at_32, at_128 = per_s("hubel", "480", 32), rounds["hubel", "480", 128]
    limit = per_s("limit", "480", 0)
    at_1 = [f.p50_ms for f in rounds["hubel", "480", 1]]
    large = per_s("hubel", "12mp", 8)
    claims = [
        ("480, 32 clients: req/s against the best baseline", 1.15, at_32, best("", "480", 32)),
        ("480, 32 clients: req/s against the in-process limit", 0.92, at_32, limit),
        (
            "480, 1 client: p50 against the best baseline's",
            -0.95,
            at_1,
            fastest(" 1", "480", 1),
        ),
        ("480, 128 clients: req/s against 32", 1.0, [f.per_s for f in at_128], at_32),
        (
            "480, 128 clients: p99 against p50",
            -2.0,
            [f.p99_ms for f in at_128],
            [f.p50_ms for f in at_128],
        ),
        ("12mp, 8 clients: req/s against the best baseline", 3.5, large, best("", "12mp", 8)),
        ("12mp, 8 clients: against the best with draft()", 1.1, large, best(" draft", "12mp", 8)),
        ("`hubel classify`: images/s against the limit", 0.95, per_s("bulk", "480", 0), limit),
    ]
    if ("hubel int8", "480", 32) in rounds:
        shipped = per_s("hubel int8", "480", 32)
        fp32, int8 = best("", "480", 32), best(" int8", "480", 32)
        claims.append(("as shipped: req/s against the best baseline, fp32", 1.9, shipped, fp32))
        claims.append(("as shipped: req/s against the best baseline, int8", 1.25, shipped, int8))
    return [
        (text, expected, [a / b if b else math.inf for a, b in zip(ours, theirs, strict=True)])
        for text, expected, ours, theirs in claims
    ]
