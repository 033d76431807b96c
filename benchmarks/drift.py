"""Measure the drift that the service reports for photos like those of training, and for others.

    python -m benchmarks.drift DATA OTHER [--images 10000]

DATA has a folder of photos for each class, OTHER has photos of something else. A bundle is trained
on every second photo of DATA (`hubel train`, recipe head). The rest of DATA are photos like those
of training; they are drawn at random, with repetition, as often as `--images` says. Then a share of
the traffic becomes photos of OTHER, and last a share of the usual photos becomes darker, as if the
light had changed. Printed, in Markdown: the highest index of each statistic and the longest
distance of the mean embedding in any window of the traffic, and how many windows of a hundred
photos' distance were `moderate` or `significant`; at the end, the time that a prediction's
bookkeeping takes.
"""

import io
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from PIL import Image

from app import vision
from app.runtime.classifier import Classified, Query, classify
from app.runtime.drift import DriftMonitor
from app.runtime.loaded_model import Model, load_model

_LIMITS = vision.Limits(2**28, 200_000_000, 65_535)
_SHARES = (0.0, 0.1, 0.25, 0.5, 1.0)
_STEP = 100
DISTANCE = "embedding"
_STATISTICS = ("decision", "label", "confidence", DISTANCE)
_DARKER = 0.4
"""The share of the light that darker photos keep."""
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def halves(data: Path, learnt: Path) -> list[Path]:
    """Link every second photo of each class below `learnt`; return the others."""
    others = []
    for folder in sorted(each for each in data.iterdir() if each.is_dir()):
        (learnt / folder.name).mkdir(parents=True)
        for index, photo in enumerate(sorted(folder.iterdir())):
            if index % 2:
                others.append(photo)
            else:
                (learnt / folder.name / photo.name).symlink_to(photo.resolve())
    return others


def traffic_drift(
    model: Model,
    usual: Sequence[Classified],
    other: Sequence[Classified],
    share: float,
    images: int,
    seed: int = 0,
) -> tuple[dict[str, float], Counter[str]]:
    """Return the highest index of each statistic, and the windows by status."""
    rng, monitor = np.random.default_rng(seed), DriftMonitor()
    highest: dict[str, float] = {}
    statuses: Counter[str] = Counter()
    for number in range(1, images + 1):
        results = other if rng.random() < share else usual
        monitor.observe(results[rng.integers(len(results))], model)
        if number % _STEP == 0:
            drift = monitor.drift(model)
            statuses[drift.status] += 1
            for each in drift.statistics:
                highest[each.of] = max(highest.get(each.of, 0.0), each.psi)
            if drift.embedding is not None:
                longest = max(highest.get(DISTANCE, 0.0), drift.embedding.distance)
                highest[DISTANCE] = longest
    return highest, statuses


def seconds_per_prediction(model: Model, results: Sequence[Classified], times: int) -> float:
    """Return the time of the bookkeeping of one prediction."""
    monitor = DriftMonitor()
    began = time.perf_counter()
    for number in range(times):
        monitor.observe(results[number % len(results)], model)
    return (time.perf_counter() - began) / times


def darkened(path: Path) -> bytes:
    """Return a photo with less light, as JPEG."""
    buffer = io.BytesIO()
    with Image.open(path) as image:
        dark = image.convert("RGB").point(lambda value: round(value * _DARKER))
        dark.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _classify_all(model: Model, photos: Sequence[Path]) -> list[Classified]:
    return [classify(path.read_bytes(), model, Query(), _LIMITS) for path in photos]


@click.command()
@click.argument("data", type=_FOLDER)
@click.argument("other", type=_FOLDER)
@click.option("--images", default=10_000, show_default=True)
def main(data: Path, other: Path, images: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        learnt, output = Path(temporary, "learnt"), Path(temporary, "bundle")
        rest = halves(data, learnt)
        command = [sys.executable, "-m", "training", str(learnt), "--output", str(output)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        model = load_model(output, "cpu")
        usual = _classify_all(model, rest)
        strange = _classify_all(
            model,
            sorted(path for path in other.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"}),
        )
        darker = [classify(darkened(path), model, Query(), _LIMITS) for path in rest]
        baseline = model.manifest.baseline
        assert baseline is not None
        click.echo(f"baseline: {baseline.model_copy(update={'embeddings': None})}")
        expected = model.embedding_baseline
        if expected is not None:
            click.echo(f"spread {expected.variance:.4g}, dimensions {expected.dimensions:.1f}\n")
        click.echo(f"| photos | {' | '.join(_STATISTICS)} | stable | moderate | significant |")
        click.echo(f"|{'---|' * (len(_STATISTICS) + 4)}")
        for name, others, shares in (("other", strange, _SHARES), ("darker", darker, _SHARES[1:])):
            for share in shares:
                highest, statuses = traffic_drift(model, usual, others, share, images)
                values = " | ".join(f"{highest[of]:.3f}" for of in _STATISTICS)
                counts = " | ".join(
                    str(statuses[status]) for status in ("stable", "moderate", "significant")
                )
                click.echo(f"| {share:.0%} {name} | {values} | {counts} |")
        duration_us = 1e6 * seconds_per_prediction(model, usual, images)
        click.echo(f"\n{duration_us:.1f} µs for each prediction")


if __name__ == "__main__":
    main()
