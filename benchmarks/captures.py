"""Compare the pages of a store of many captures with those of a small one.

    python -m benchmarks.captures [--captures 100000] [--rounds 30]

Two stores are filled with rows; the files of the photos are left out, since pages don't read them.
The pages of each kind are read in turns, and the medians are divided.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.captures import Filter, NewCapture, Prediction, Store, StoreLimits, database
from app.captures.capture import Order
from app.captures.photo_files import PhotoFiles
from app.captures.rows import Position, page_of
from benchmarks.processor import describe

SMALL = 1_000
_PAGE = 8
"""Captures of a page: as many as the small store has for each of `PAGES`."""
_LABELS = tuple(f"label {number}" for number in range(20))
_GIVEN = _LABELS[:5]
"""The labels that people give."""
_DAYS = 36_500
_BATCH = 500

PAGES: Mapping[str, tuple[Filter, Order, bool]] = {
    "newest": (Filter(), "newest", False),
    "newest, from the middle": (Filter(), "newest", True),
    "least confident": (Filter(), "unsure", False),
    "least confident, from the middle": (Filter(), "unsure", True),
    "one of two models": (Filter(model="pets"), "newest", False),
    "decision": (Filter(decision="unknown"), "newest", False),
    "predicted label": (Filter(predicted=_LABELS[3]), "newest", False),
    "label of people": (Filter(label=_LABELS[3]), "newest", False),
    "unlabelled, least confident": (Filter(labelled=False), "unsure", False),
    "labelled": (Filter(labelled=True), "newest", False),
    "model, decision and label": (
        Filter(model="pets", decision="unsure", predicted=_LABELS[3]),
        "newest",
        False,
    ),
}
"""By name: which captures, in which order, and whether the page begins in the middle."""


class _NoFiles(PhotoFiles):
    """Files that aren't written, since pages don't read them."""

    def write(self, data: bytes, sha256: str, format: str) -> None:
        """Write nothing."""


def fill(folder: Path, count: int) -> Store:
    """Return a store with `count` captures, a tenth of which have a label."""
    draw = random.Random(0)
    store = Store(folder)
    store.files = _NoFiles(folder)
    limits = StoreLimits(1 << 40, 1 << 40, _DAYS)
    for start in range(0, count, _BATCH):
        ids = store.add([_capture(number, draw) for number in range(start, start + _BATCH)], limits)
        kept = [id for id in ids if id is not None]
        labelled = draw.sample(kept, len(kept) // 10)
        for place, label in enumerate(_GIVEN):
            store.label(labelled[place :: len(_GIVEN)], [label])
    return store


def _capture(number: int, draw: random.Random) -> NewCapture:
    return NewCapture(
        data=b"%d" % number,
        format="jpeg",
        width=480,
        height=480,
        request_id=f"{draw.getrandbits(128):032x}",
        index=0,
        model=draw.choice(("pets", "toys")),
        version=1,
        decision=draw.choice(("unsure", "unknown", "accepted")),
        predictions=tuple(Prediction(label, draw.random()) for label in draw.sample(_LABELS, 5)),
        reason="unsure",
        captured_ms=number,
    )


def seconds(store: Store, name: str, count: int) -> float:
    """Return the time of one page."""
    filter, order, from_middle = PAGES[name]
    after = None
    if from_middle:
        after = Position(0.5 if order == "unsure" else count // 2, count // 2)
    began = time.perf_counter()
    with database.reading(store.folder) as connection:
        page_of(connection, filter, order, after, _PAGE)
    return time.perf_counter() - began


def compare(small: Store, large: Store, count: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Return, for each kind of page, the median milliseconds of the small and the large store."""
    result = {}
    for name in PAGES:
        pairs = [(seconds(small, name, SMALL), seconds(large, name, count)) for _ in range(rounds)]
        few, many = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
        result[name] = (few, many)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each kind of page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--captures", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args(arguments)
    print(describe())
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        small, large = fill(Path(one), SMALL), fill(Path(other), options.captures)
        times = compare(small, large, options.captures, options.rounds)
    print(f"| page | {SMALL:,} captures, ms | {options.captures:,} captures, ms | ratio |")
    print("|---|---|---|---|")
    for name, (few, many) in times.items():
        print(f"| {name} | {few:.2f} | {many:.2f} | {many / few:.2f} |")


if __name__ == "__main__":
    main()
