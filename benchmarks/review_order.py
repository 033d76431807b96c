"""Compare the orders of a review by how many different scenes the first screen shows.

    python -m benchmarks.review_order --photos DIR [--scenes 60] [--burst 12] [--screen 28]

A store gets bursts, as cameras send them: variants of some photos, each cut by other pixels, as
the built-in model sees them. Every third photo is sent once, so the store has single photos too.
Printed for each order: the different scenes on the first screen, and the mean confidence of its
photos; then the seconds that each order takes with 10,000 photos, in turns.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from app import vision
from app.captures import Filter, NewCapture, Prediction, Store, StoreLimits, database
from app.captures.capture import ReviewOrder
from app.captures.photo_files import PhotoFiles
from app.captures.review_order import ordered_ids
from app.runtime.classifier import Query, classify
from app.runtime.discovery import BUILT_IN_MODELS
from app.runtime.loaded_model import Model, load_model
from benchmarks.processor import describe

ORDERS: Sequence[ReviewOrder] = ("newest", "unsure", "varied")
TIMED = 10_000
_LIMITS = StoreLimits(1 << 40, 1 << 40, 36_500)
_PHOTO_LIMITS = vision.Limits(1 << 24, 1 << 26)
_CUT = 24
"""The most pixels by which a variant of a scene is cut on each side."""
_FEATURES = 1280


class _NoFiles(PhotoFiles):
    """Files that aren't written, since an order doesn't read them."""

    def write(self, data: bytes, sha256: str, format: str) -> None:
        """Write nothing."""


def burst(path: Path, count: int, draw: random.Random) -> list[bytes]:
    """Return a photo `count` times, each time cut by a few pixels."""
    found = []
    with Image.open(path) as photo:
        image = photo.convert("RGB").resize((480 + 2 * _CUT, 480 + 2 * _CUT))
    for _ in range(count):
        left, top = draw.randrange(2 * _CUT), draw.randrange(2 * _CUT)
        file = BytesIO()
        image.crop((left, top, left + 480, top + 480)).save(
            file, "jpeg", quality=draw.choice((80, 85, 90))
        )
        found.append(file.getvalue())
    return found


def fill(store: Store, model: Model, paths: Sequence[Path], size: int) -> Mapping[int, int]:
    """Keep bursts of photos; return the scene of each capture."""
    draw = random.Random(0)
    new = []
    for scene, path in enumerate(paths):
        for data in burst(path, 1 if scene % 3 == 0 else size, draw):
            result = classify(data, model, Query(), _PHOTO_LIMITS)
            first = result.predictions[0]
            new.append(
                (
                    scene,
                    NewCapture(
                        data=data,
                        format="jpeg",
                        width=480,
                        height=480,
                        request_id=f"{scene}",
                        index=0,
                        model="imagenet",
                        version=1,
                        decision=result.decision,
                        predictions=(Prediction(first.label, first.probability),),
                        reason="unsure",
                        captured_ms=scene,
                        features=result.probabilities
                        if result.embedding is None
                        else result.embedding,
                    ),
                )
            )
    draw.shuffle(new)
    ids = store.add([capture for _, capture in new], _LIMITS)
    return {id: scene for id, (scene, _) in zip(ids, new, strict=True) if id is not None}


def ids_in(store: Store, order: ReviewOrder) -> list[int]:
    """Return the ids of all captures in an order."""
    with database.reading(store.folder) as connection:
        return ordered_ids(connection, Filter(), order, 100_000)


def seconds(count: int, rounds: int) -> Mapping[str, float]:
    """Return the median seconds of each order for `count` photos, in turns."""
    draw, features = random.Random(0), np.random.default_rng(0)
    times: dict[str, list[float]] = {order: [] for order in ORDERS}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.files = _NoFiles(store.folder)
        for start in range(0, count, 500):
            rows = features.random((500, _FEATURES)).astype(np.float32)
            store.add(
                [
                    NewCapture(
                        data=b"%d" % number,
                        format="jpeg",
                        width=480,
                        height=480,
                        request_id=str(number),
                        index=0,
                        model="pets",
                        version=1,
                        decision=draw.choice(("unsure", "unknown", "accepted")),
                        predictions=(Prediction("cat", draw.random()),),
                        reason="unsure",
                        captured_ms=number,
                        features=row,
                    )
                    for number, row in enumerate(rows, start)
                ],
                _LIMITS,
            )
        for _ in range(rounds):
            for order in ORDERS:
                began = time.perf_counter()
                ids_in(store, order)
                times[order].append(time.perf_counter() - began)
    return {order: statistics.median(found) for order, found in times.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each order."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--burst", type=int, default=12)
    parser.add_argument("--screen", type=int, default=28)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--timed", type=int, default=TIMED)
    options = parser.parse_args(arguments)
    print(describe(), end="\n\n", flush=True)
    files = sorted(
        path for path in options.photos.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"}
    )
    step = max(1, len(files) // options.scenes)
    paths = list(islice(files[::step], options.scenes))
    model = load_model(BUILT_IN_MODELS / "imagenet", "cpu")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        scenes = fill(store, model, paths, options.burst)
        with database.reading(store.folder) as connection:
            rows = connection.execute("SELECT id, confidence FROM captures").fetchall()
        confidence = {row["id"]: row["confidence"] for row in rows}
        first = {order: ids_in(store, order)[: options.screen] for order in ORDERS}
    times = seconds(options.timed, options.rounds)
    print(f"{len(scenes)} photos of {len(paths)} scenes; a screen of {options.screen}", end="\n\n")
    print(
        f"| order | scenes | mean confidence | seconds for {options.timed:,} |\n|---|---|---|---|"
    )
    for order, ids in first.items():
        distinct = len({scenes[id] for id in ids})
        mean = statistics.mean(confidence[id] for id in ids)
        print(f"| {order} | {distinct} | {mean:.2f} | {times[order]:.3f} |")


if __name__ == "__main__":
    main()
