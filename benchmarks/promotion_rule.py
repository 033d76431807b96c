"""Draw pairs of versions, and count how often the rule of promotion lets the second one pass.

    python -m benchmarks.promotion_rule [--draws N]

A draw is of the photos that only one of both versions gets right. `swap` is the share of photos on
which they differ if they are equally good; `true` is the true difference of their accuracies.
"""

from collections.abc import Iterator

import click
import numpy as np

from training.comparison import paired

PHOTOS = (40, 60, 120, 300)
SWAPS = (0.02, 0.05, 0.1)
DIFFERENCES = (0.0, -0.02, -0.05, -0.1)
Z_95 = 1.6448536269514722
RULES = ((0.05, paired.Z), (0.05, Z_95), (0.1, Z_95))
"""Margins, each with the quantile of its confidence."""
_ALPHA = 0.05


def passes(losses: int, gains: int, photos: int, margin: float, z: float) -> bool:
    """Return whether a version passes by its accuracy: it isn't worse, as it can be shown."""
    is_worse = gains < losses and paired.mcnemar_mid_p(losses, gains) < _ALPHA
    return not is_worse and paired.tango_interval(losses, gains, photos, z)[0] >= -margin


def shares(photos: int, swap: float, difference: float, draws: int) -> list[float]:
    """Return the share of drawn versions that pass, by rule."""
    rng = np.random.default_rng(0)
    losses, gains = swap / 2 + max(0.0, -difference), swap / 2 + max(0.0, difference)
    drawn = rng.multinomial(photos, [losses, gains, 1 - losses - gains], draws)
    pairs, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    return [
        sum(
            count * passes(*pair, photos, *rule)
            for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)
        )
        / draws
        for rule in RULES
    ]


def lines(draws: int) -> Iterator[str]:
    """Yield a line of the table for each case."""
    for photos in PHOTOS:
        for swap in SWAPS:
            for difference in DIFFERENCES:
                found = " | ".join(
                    f"{100 * share:.0f} %" for share in shares(photos, swap, difference, draws)
                )
                yield f"| {photos} | {100 * swap:g} % | {100 * difference:+g} | {found} |"


@click.command()
@click.option("--draws", default=4000)
def main(draws: int) -> None:
    """Print the shares of versions that pass, in Markdown."""
    click.echo("| photos | swap | true | 5 points, 90 % | 5 points, 95 % | 10 points, 95 % |")
    click.echo("|---|---|---|---|---|---|")
    for line in lines(draws):
        click.echo(line)


if __name__ == "__main__":
    main()
