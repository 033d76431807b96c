"""Classification of many photos through the engine: in order, with few photos in memory.

photos, not read yet -> read: on the engine's threads; remote ones earlier, on threads of their own
                     -> sha256 -> classify -> a result for each, in order
what is no photo     -> passed through, in its place
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from app import vision
from app.errors import HubelError, NotAnImage
from app.runtime.classifier import Classified, Query, classify
from app.runtime.engine import Engine, Turn
from app.runtime.loaded_model import Model
from app.sources import local_files
from app.sources.entry import Photo, Skipped

_AHEAD = 4
"""Photos queued per thread."""
_FETCHED_AHEAD = 32
"""Remote photos that are requested before their turn; a request takes tens of milliseconds."""
_FETCHERS = 16
_AHEAD_BYTES = 128 << 20
"""Bytes of all photos that are read and not classified yet, but for one."""

Other = TypeVar("Other")


@dataclass(frozen=True, slots=True, eq=False)
class PhotoResult:
    """The result of one photo, or its error."""

    path: str
    result: Classified | HubelError
    size: int | None = None
    """Bytes of the file; None: not known."""
    sha256: str | None = None
    """Of the file's bytes, in hexadecimal; None: they were not read."""


def classify_photos(
    entries: Iterable[Photo | Other],
    model: Model,
    query: Query,
    limits: vision.Limits,
    engine: Engine,
) -> Iterator[PhotoResult | Skipped | Other]:
    """Classify photos in order, with few of them in memory at a time.

    Args:
        entries: photos, and anything else, which is passed through.
        model: the model that classifies them.
        query: which predictions to return.
        limits: the largest photo that is decoded.
        engine: the engine whose threads read and classify them.

    Yields:
        The result or the error of each photo; `Skipped` for one that turns out to be none.
    """
    waiting: deque[tuple[Other | Future[PhotoResult | Skipped], int]] = deque()
    held_bytes, is_remote = 0, False

    def next_result() -> PhotoResult | Skipped | Other:
        nonlocal held_bytes
        first, size = waiting.popleft()
        held_bytes -= size
        return first.result() if isinstance(first, Future) else first

    with ThreadPoolExecutor(_FETCHERS, "fetch") as fetchers:
        try:
            for entry in entries:
                if not isinstance(entry, Photo):
                    waiting.append((entry, 0))
                else:
                    size, is_remote = entry.size or 0, entry.is_remote
                    if entry.size is not None and entry.size > limits.max_bytes:
                        size = 0  # it won't be read
                    while waiting and held_bytes + size > _AHEAD_BYTES:
                        yield next_result()
                    held_bytes += size
                    fetched = fetchers.submit(entry.read) if is_remote else None
                    work = partial(_classify_photo, entry, fetched, model, query, limits)
                    waiting.append((engine.submit(work)[0], size))
                most = _FETCHED_AHEAD if is_remote else engine.threads * _AHEAD
                while len(waiting) >= most:
                    yield next_result()
            while waiting:
                yield next_result()
        finally:  # after an error, what waits is not read any more
            fetchers.shutdown(wait=False, cancel_futures=True)
            for first, _ in waiting:
                if isinstance(first, Future):
                    first.cancel()


def classify_files(
    paths: Iterable[Path], model: Model, query: Query, limits: vision.Limits, engine: Engine
) -> Iterator[tuple[Path, Classified | HubelError]]:
    """Classify files in order, reading them on the engine's threads.

    Yields:
        Each path, with its result or the error of a file that can't be used.
    """
    sent: deque[Path] = deque()

    def photos() -> Iterator[Photo]:
        for path in paths:
            sent.append(path)
            yield Photo(str(path), partial(local_files.read_file, str(path), limits.max_bytes))

    for done in classify_photos(photos(), model, query, limits, engine):
        if isinstance(done, PhotoResult):
            yield sent.popleft(), done.result


def _classify_photo(
    photo: Photo,
    fetched: Future[bytes] | None,
    model: Model,
    query: Query,
    limits: vision.Limits,
    _turn: Turn,
) -> PhotoResult | Skipped:
    try:
        data = photo.read() if fetched is None else fetched.result()
    except HubelError as err:
        return PhotoResult(photo.path, err, photo.size)
    sha256 = hashlib.sha256(data).hexdigest()
    result: Classified | HubelError
    try:
        result = classify(data, model, query, limits)
    except NotAnImage as err:
        if photo.may_be_other:
            return Skipped(photo.path, "it is no photo")
        result = err
    except HubelError as err:
        result = err
    return PhotoResult(photo.path, result, len(data), sha256)
