"""The index of staged photos: a new one, or an existing one with the staged photos added.

    staging, and perhaps the present index -> vectors and photos, as files beside their places
       -> renamed by their hash -> index.json, replaced in one step -> older files are removed

A service that has opened the older files reads on: their names are gone, not their content.
"""

import os
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np

from app import __version__
from app.bundle import FileRecord
from app.durable_files import sync
from app.vector_index import photo_table
from app.vector_index.distinct_vectors import DistinctVectors
from app.vector_index.folder import (
    MANIFEST,
    VectorIndex,
    open_index,
    sha256_of,
    write_manifest,
)
from app.vector_index.manifest import PHOTOS, VECTORS, IndexedModel, IndexFiles, IndexManifest
from app.vector_index.neighbours import STORAGE, Neighbours
from app.vector_index.photo_table import IndexedPhoto
from app.vector_index.staging import Staging

_BLOCK = 1024
"""Photos that are added at a time."""
_NAME_DIGITS = 16
_OWN_NAME = re.compile(
    r"vectors-[0-9a-f]{16}\.faiss|photos-[0-9a-f]{16}\.sqlite"
    r"|\.(vectors|photos|index\.json)\.[0-9]+\.(part|new)"
)

ReportProgress = Callable[[int, int], None]
"""Called with the photos that are in the graph, and those that will be."""


def write_index(
    output: Path,
    staging: Staging,
    model: IndexedModel,
    sources: tuple[str, ...],
    thumbnails: int,
    *,
    root: str = "/",
    add: bool,
    report_progress: ReportProgress = lambda done, total: None,
) -> IndexManifest:
    """Write the index of the staged photos to the folder `output`, in one step.

    Args:
        output: the folder; an index in it is replaced.
        staging: the photos and their embeddings; at least one photo, unless there is one to add to.
        model: the model that made the embeddings.
        sources: where the photos came from.
        thumbnails: pixels of a thumbnail's side; 0: there are none.
        root: the folder that paths are relative to; that of an index which is added to stays.
        add: whether the photos are added to the index that is there; a photo with the path of one
            that is there replaces it.
        report_progress: see `ReportProgress`.

    Raises:
        IndexInvalid: the index to add to is damaged.
    """
    staging.flush()
    output.mkdir(exist_ok=True)
    parts = {kind: output / f".{kind}.{os.getpid()}.part" for kind in (VECTORS, PHOTOS)}
    try:
        base = open_index(output) if add else None
        kept = None if base is None else _kept_rows(base, staging)
        distinct = _distinct_vectors(base, kept, staging, report_progress)
        graph = distinct.graph
        graph.save(parts[VECTORS])
        _write_table(parts[PHOTOS], base, kept, staging, distinct.rows)
        old = base.manifest.sources if base else ()
        root = base.manifest.root if base else root
        dimension, count, different = graph.dimension, len(distinct.rows), len(graph)
        exact = graph.hides_rows()
        del base, graph, distinct
        names, files = _rename(output, parts)
        manifest = IndexManifest(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            hubel=__version__,
            model=model,
            dimension=dimension,
            count=count,
            distinct=different,
            exact=exact,
            storage=_storage(),
            thumbnails=thumbnails,
            sources=tuple(dict.fromkeys((*old, *sources))),
            root=root,
            names=names,
            files=files,
        )
        write_manifest(manifest, output)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    _remove_older(output, manifest)
    staging.remove()
    return manifest


def _storage() -> Literal["fp16", "int8"]:
    return "fp16" if STORAGE == "fp16" else "int8"


def _kept_rows(base: VectorIndex, staging: Staging) -> list[int]:
    """Return the rows of the photos that no staged photo replaces."""
    new = staging.sizes()
    return [row for row, path in base.table.rows_and_paths() if path not in new]


def _distinct_vectors(
    base: VectorIndex | None,
    kept: list[int] | None,
    staging: Staging,
    report_progress: ReportProgress,
) -> DistinctVectors:
    """Return the vectors of the kept photos, then those of the staged ones."""
    kept_count = len(kept or ())
    total = kept_count + len(staging)
    if base is not None and kept_count == base.manifest.count:
        distinct = DistinctVectors(base.neighbours, base.vector_rows)
    else:
        distinct = DistinctVectors(Neighbours.create(staging.dimension))
        for start in range(0, kept_count, _BLOCK):
            assert base is not None
            assert kept is not None
            rows = base.vector_rows[kept[start : start + _BLOCK]].tolist()
            distinct.add(np.concatenate([base.neighbours.vectors(row, 1) for row in rows]))
            report_progress(len(distinct.rows), total)
    for start in range(0, len(staging), _BLOCK):
        distinct.add(staging.vectors(start, _BLOCK))
        report_progress(len(distinct.rows), total)
    return distinct


def _write_table(
    path: Path,
    base: VectorIndex | None,
    kept: list[int] | None,
    staging: Staging,
    vectors: Sequence[int],
) -> None:
    """Write the kept photos, then the staged ones, each with the row of its vector."""
    path.unlink(missing_ok=True)
    rows = set(kept or ())
    with closing(photo_table.create(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        old = (p for p in (base.table.all() if base else ()) if p.row in rows)
        photo_table.insert(connection, (_at(row, photo) for row, photo in enumerate(old)), vectors)
        photo_table.insert(
            connection, (_at(len(rows) + photo.row, photo) for photo in staging.photos()), vectors
        )
    sync(path)


def _at(row: int, photo: IndexedPhoto) -> IndexedPhoto:
    return IndexedPhoto(row, photo.path, photo.sha256, photo.size, photo.thumbnail)


def _rename(output: Path, parts: dict[str, Path]) -> tuple[IndexFiles, dict[str, FileRecord]]:
    """Give both files their names, which tell their content, and return these and their records."""
    names, files = {}, {}
    for kind, suffix in ((VECTORS, "faiss"), (PHOTOS, "sqlite")):
        part = parts[kind]
        sync(part)
        sha256 = sha256_of(part)
        names[kind] = f"{kind}-{sha256[:_NAME_DIGITS]}.{suffix}"
        files[names[kind]] = FileRecord(sha256=sha256, bytes=part.stat().st_size)
        os.replace(part, output / names[kind])
    return IndexFiles(vectors=names[VECTORS], photos=names[PHOTOS]), files


def _remove_older(output: Path, manifest: IndexManifest) -> None:
    """Remove the files of older states, which Hubel has written."""
    for path in output.iterdir():
        is_own = _OWN_NAME.fullmatch(path.name) and path.name not in manifest.files
        if is_own and path.name != MANIFEST:
            path.unlink(missing_ok=True)
