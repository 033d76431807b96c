"""A vector index on disk: the embeddings of photos, so that similar ones are found.

    INDEX/index.json              the `IndexManifest`; sealed, and replaced last, in one step
    INDEX/vectors-<hash>.faiss    the graph with the embeddings, read into memory
    INDEX/photos-<hash>.sqlite    path, hash and perhaps a thumbnail of each photo

writing: embeddings of photos -> `Staging`, which resumes -> `write_index` -> the folder
reading: folder -> `read_manifest` (schema, seal) -> `open_index` (bytes, sha256) -> `VectorIndex`

manifest     the content of index.json
neighbours   the only module that uses FAISS
distinct_vectors    the vectors of a graph, each once
photo_table  the photos, as SQLite
staging      what a run has embedded so far
folder       reads, checks and writes the folder
"""

from app.vector_index.folder import (
    MANIFEST,
    VectorIndex,
    is_index,
    open_index,
    read_manifest,
    require_output,
)
from app.vector_index.manifest import IndexedModel, IndexManifest
from app.vector_index.photo_table import IndexedPhoto
from app.vector_index.staging import Staging, staging_folder
from app.vector_index.writer import write_index

__all__ = [
    "MANIFEST",
    "IndexManifest",
    "IndexedModel",
    "IndexedPhoto",
    "Staging",
    "VectorIndex",
    "is_index",
    "open_index",
    "read_manifest",
    "require_output",
    "staging_folder",
    "write_index",
]
