"""Classification of many files through the engine: in order, with few photos in memory."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from app import vision
from app.dataset.files import is_photo, list_below
from app.errors import BadParameter, HubelError
from app.runtime.classifier import Classified, Query, classify
from app.runtime.engine import Engine, Turn
from app.runtime.loaded_model import Model

_AHEAD = 4
"""Photos queued per thread."""


def photos_below(path: Path) -> Iterator[Path]:
    """Yield `path` itself if it is a file, else every photo below it, in order; not hidden ones."""
    yield from find_photos(path)[0]


def find_photos(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the photos below `path`, or `path` itself if it is a file, and what is skipped.

    Broken links and files that can't be read count as photos: their rows have the error. Files that
    are no photos are skipped, and so are links back to a folder.
    """
    if not path.is_dir():
        return [path], []
    listing = list_below(path)
    photos = [file for file in listing.files if is_photo(file)]
    used = set(photos)
    skipped = [file for file in listing.files if file not in used]
    return photos, skipped + [entry for entry, _ in listing.skipped]


def classify_files(
    paths: Iterable[Path], model: Model, query: Query, limits: vision.Limits, engine: Engine
) -> Iterator[tuple[Path, Classified | HubelError]]:
    """Classify files in order, reading them on the engine's threads.

    Yields:
        Each path, with its result or the error of a file that can't be used.
    """
    waiting: deque[tuple[Path, Future[Classified]]] = deque()
    for path in paths:
        work = partial(_classify_file, path, model, query, limits)
        waiting.append((path, engine.submit(work)[0]))
        if len(waiting) >= engine.threads * _AHEAD:
            yield _result(*waiting.popleft())
    while waiting:
        yield _result(*waiting.popleft())


def _classify_file(
    path: Path, model: Model, query: Query, limits: vision.Limits, _turn: Turn
) -> Classified:
    try:
        data = path.read_bytes()
    except OSError as err:
        raise BadParameter(f"{path} can't be read ({err.strerror}).") from err
    return classify(data, model, query, limits)


def _result(path: Path, future: Future[Classified]) -> tuple[Path, Classified | HubelError]:
    try:
        return path, future.result()
    except HubelError as err:
        return path, err
