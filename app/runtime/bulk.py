"""Many photos from disk through the engine, in order, with few in memory at a time."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from app import vision
from app.errors import BadParameter, HubelError
from app.runtime.classifier import Classified, Query, classify
from app.runtime.engine import Engine
from app.runtime.loaded_model import Model

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp"})
"""Names by which a file in a folder counts as a photo; what it is, its content tells."""

_AHEAD = 4
"""Photos queued for each thread."""


def photos_below(path: Path) -> Iterator[Path]:
    """`path` itself if it is a file, else every photo below it, in order; hidden ones aside."""
    if not path.is_dir():
        yield path
        return
    for inner in sorted(path.iterdir()):
        if inner.name.startswith("."):
            continue
        if inner.is_dir():
            yield from photos_below(inner)
        elif inner.suffix.lower() in SUFFIXES:
            yield inner


def classify_files(
    paths: Iterable[Path], model: Model, query: Query, limits: vision.Limits, engine: Engine
) -> Iterator[tuple[Path, Classified | HubelError]]:
    """Classify files, read on the engine's threads; a file that can't be used gives its error."""
    waiting: deque[tuple[Path, Future[Classified]]] = deque()
    for path in paths:
        work = partial(_classify_file, path, model, query, limits)
        waiting.append((path, engine.submit(work)[0]))
        if len(waiting) >= engine.threads * _AHEAD:
            yield _outcome(*waiting.popleft())
    while waiting:
        yield _outcome(*waiting.popleft())


def _classify_file(
    path: Path, model: Model, query: Query, limits: vision.Limits, queue_s: float
) -> Classified:
    try:
        data = path.read_bytes()
    except OSError as err:
        raise BadParameter(f"{path} can't be read ({err.strerror}).") from err
    return classify(data, model, query, limits, queue_s)


def _outcome(path: Path, future: Future[Classified]) -> tuple[Path, Classified | HubelError]:
    try:
        return path, future.result()
    except HubelError as err:
        return path, err
