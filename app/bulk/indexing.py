"""The embeddings of the photos of any sources, staged for an index.

shards -> their photos, but for those that are known -> the engine -> a result for each
       -> path, hash, embedding and perhaps a thumbnail -> `Staging`
"""

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app import vision
from app.errors import BadParameter, HubelError
from app.runtime.bulk import PhotoResult, classify_photos
from app.runtime.classifier import Query
from app.runtime.engine import Engine
from app.runtime.loaded_model import Model
from app.sources.addresses import is_remote, shard_kind
from app.sources.entry import Entry, Photo, ReadOptions, Skipped
from app.sources.shard import Shard, entries_of
from app.vector_index import IndexedModel, Staging

_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Known:
    """A photo that the index, or the staging folder, already has."""

    path: str


@dataclass(frozen=True)
class Indexing:
    """The settings that all photos of a run share."""

    limits: vision.Limits
    thumbnails: int = 0
    """Pixels of a thumbnail's side; 0: there are none."""
    root: str = "/"
    """The folder that paths are relative to, without links."""
    image_column: str | None = None
    """The column of Parquet files with the photos or their paths; None: it is found."""

    def path_of(self, path: str) -> str:
        """Return the path of a photo as the index names it, whatever way leads to it.

        It is an address, a path below the root, or an absolute path; and valid UTF-8. The name of a
        member in an archive stays as it is.
        """
        if is_remote(path):
            return _as_utf8(path)
        file, member = _file_and_member(path)
        absolute = os.path.abspath(file)
        folder, name = os.path.split(absolute)
        resolved = os.path.join(os.path.realpath(folder), name)
        above = f"{self.root.rstrip('/')}/"
        for spelling in (absolute, resolved):
            if _as_utf8(spelling).startswith(above):
                return _as_utf8(spelling + member).removeprefix(above)
        return _as_utf8(resolved + member)


def _file_and_member(path: str) -> tuple[str, str]:
    """Return the file of a path such as `shard.tar/../a.jpg`, and the rest behind it."""
    place = path.find("/")
    while place >= 0:
        if shard_kind(path[:place]) is not None:
            return path[:place], path[place:]
        place = path.find("/", place + 1)
    return path, ""


def root_of(sources: Sequence[str]) -> str:
    """Return the folder that paths of a new index are relative to.

    It is the only source, if that is a folder; otherwise that in which the command runs.
    """
    is_folder = len(sources) == 1 and not is_remote(sources[0]) and os.path.isdir(sources[0])
    return _as_utf8(os.path.realpath(sources[0] if is_folder else os.curdir))


def absolute_sources(sources: Sequence[str]) -> tuple[str, ...]:
    """Return sources as they are named in any folder."""
    return tuple(_as_utf8(each if is_remote(each) else os.path.abspath(each)) for each in sources)


def _as_utf8(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def indexed_model(model: Model) -> IndexedModel:
    """Return what an index records of the model that made its embeddings."""
    return IndexedModel(
        name=model.name,
        version=model.version,
        sha256=model.bundle.seal,
        precision=model.session.precision,
    )


def dimension_of(model: Model) -> int:
    """Return the numbers of an embedding, from a run on a grey image."""
    image = np.full((1, *model.manifest.input.shape), 127, np.uint8)
    (embeddings,) = model.session.unchecked_outputs_of(["embedding"], image)
    return int(embeddings.shape[1])


def stage_photos(
    shards: Iterable[Shard],
    model: Model,
    indexing: Indexing,
    engine: Engine,
    staging: Staging,
    known: Mapping[str, int],
) -> Iterator[PhotoResult | Skipped | Known]:
    """Embed the photos of `shards` and stage them; yield each with its result or its error.

    Of an earlier run, the photos stay staged that are found again with the same bytes.

    Args:
        shards: the photos.
        model: a model with an embedding.
        indexing: what is the same for all photos.
        engine: the engine whose threads read and embed them.
        staging: gets the photos that have a result.
        known: the bytes of photos that the index has, by path; those with equal bytes are skipped.
    """
    staged = staging.sizes()
    found: dict[str, _Content] = {}
    options = ReadOptions(indexing.limits.max_bytes, indexing.image_column)

    def entries() -> Iterator[Entry | Known]:
        for shard in shards:
            for entry in entries_of(shard, options):
                path = indexing.path_of(entry.path)
                size = entry.size if isinstance(entry, Photo) else None
                if size is not None and size in (known.get(path), staged.get(path)):
                    found.setdefault(path, _Content(size))
                    yield Known(entry.path)
                else:
                    yield entry

    query = Query(top_k=1, embedding=True, keep_pixels=indexing.thumbnails > 0)
    results: Iterator[PhotoResult | Skipped | Known] = classify_photos(
        entries(), model, query, indexing.limits, engine
    )
    for result in results:
        if isinstance(result, PhotoResult) and not isinstance(result.result, HubelError):
            path = indexing.path_of(result.path)
            content = _Content(result.size or 0, result.sha256)
            if path not in found:
                found[path] = content
                _stage(result, path, indexing, staging, replace=path in staged)
            elif found[path].may_be(content):
                continue  # named twice
            else:
                error = BadParameter("Another photo has the same path. Rename one of them.")
                yield PhotoResult(result.path, error, result.size)
                continue
        yield result
    staging.flush()
    for path in staged.keys() - found.keys():  # gone since an earlier run, or damaged
        staging.drop(path)


@dataclass(frozen=True, slots=True)
class _Content:
    """The size of a photo in bytes, and their hash where they were read."""

    size: int
    sha256: str | None = None

    def may_be(self, other: "_Content") -> bool:
        return self.size == other.size and (
            None in (self.sha256, other.sha256) or self.sha256 == other.sha256
        )


def _stage(
    photo: PhotoResult, path: str, indexing: Indexing, staging: Staging, *, replace: bool
) -> None:
    """Stage a photo; `replace`: an earlier run has staged one with its path."""
    if replace:
        if staging.has(path, photo.sha256 or ""):
            return
        staging.drop(path)
    classified = photo.result
    assert not isinstance(classified, HubelError)
    assert classified.embedding is not None
    small = None
    if classified.pixels is not None:
        small = _thumbnail(classified.pixels, indexing.thumbnails)
    staging.append(path, photo.sha256 or "", photo.size or 0, classified.embedding, small)


def _thumbnail(pixels: NDArray[np.uint8], side: int) -> bytes:
    """Return a JPEG of what the model read of a photo, (H, W, 3), at most `side` pixels wide."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, "jpeg", quality=_QUALITY)
    return file.getvalue()
