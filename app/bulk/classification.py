"""The results of the photos of shards: the same function on one machine and on a cluster.

    shards -> their photos, on end -> the engine -> a result for each photo, in order

The photos of the next shard are queued while those of the last one run, so that many small shards
are as fast as one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app import vision
from app.runtime.bulk import PhotoResult, classify_photos
from app.runtime.classifier import Query
from app.runtime.engine import Engine
from app.runtime.loaded_model import Model
from app.sources.entry import Entry, ReadOptions, Skipped
from app.sources.shard import Shard, entries_of


@dataclass(frozen=True)
class Classification:
    """The settings that all photos of a run share."""

    top_k: int
    """Number of predictions of a row."""
    limits: vision.Limits
    embedding: bool = False
    """Whether a row has the embedding."""
    image_column: str | None = None
    """The column of Parquet files with the photos; None: it is found."""

    @property
    def query(self) -> Query:
        """The part of the result that a row needs."""
        return Query(self.top_k, embedding=self.embedding)

    @property
    def read_options(self) -> ReadOptions:
        """How photos are read."""
        return ReadOptions(self.limits.max_bytes, self.image_column)


@dataclass(frozen=True, slots=True)
class ShardEnd:
    """All results of a shard have come."""

    shard: Shard


Result = PhotoResult | Skipped | ShardEnd


def results_of(
    shards: Iterable[Shard], model: Model, classification: Classification, engine: Engine
) -> Iterator[Result]:
    """Yield the result of each photo of `shards`, what is skipped, and the end of each shard."""

    def entries() -> Iterator[Entry | ShardEnd]:
        for shard in shards:
            yield from entries_of(shard, classification.read_options)
            yield ShardEnd(shard)

    return classify_photos(entries(), model, classification.query, classification.limits, engine)
