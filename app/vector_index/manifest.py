"""The content of index.json: what an index holds, and which model made its embeddings."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.bundle import FileRecord, Precision

VECTORS, PHOTOS = "vectors", "photos"
SCHEMA_VERSION: Literal[2] = 2

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IndexedModel(_Part):
    """The model that made the embeddings; no other one may search for them."""

    name: str
    version: Annotated[int, Field(ge=1)]
    sha256: _Sha256
    """The seal of its bundle.json."""
    precision: Precision


class IndexFiles(_Part):
    """The names of the files in the folder, and what they hold."""

    vectors: Annotated[str, Field(pattern=r"^vectors-[0-9a-f]{16}\.faiss$")]
    photos: Annotated[str, Field(pattern=r"^photos-[0-9a-f]{16}\.sqlite$")]


class IndexManifest(_Part):
    """The content of index.json."""

    schema_version: Literal[2] = SCHEMA_VERSION
    created: str
    """The time, as ISO 8601."""
    hubel: str
    """The version of Hubel that wrote it."""
    model: IndexedModel
    dimension: Annotated[int, Field(ge=1)]
    """Numbers of an embedding."""
    count: Annotated[int, Field(ge=1)]
    """Photos."""
    distinct: Annotated[int, Field(ge=1)]
    """Different vectors; photos with equal ones share one."""
    exact: bool
    """Whether a search compares every vector, since the graph would hide some of them."""
    metric: Literal["cosine"] = "cosine"
    storage: Literal["fp16", "int8"]
    """How a number of an embedding is stored."""
    thumbnails: Annotated[int, Field(ge=0)]
    """Pixels of a thumbnail's side; 0: there are none."""
    sources: tuple[str, ...]
    """Folders or addresses that the photos came from, absolute."""
    root: str
    """The folder that paths are relative to; those of photos elsewhere are absolute."""
    names: IndexFiles
    files: dict[str, FileRecord]
    """The size and sha256 of both files."""

    @property
    def vector_bytes(self) -> int:
        """The size of the vectors and their graph: on disk, and about the same in memory."""
        return self.files[self.names.vectors].bytes
