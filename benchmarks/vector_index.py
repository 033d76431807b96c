"""Compare libraries for the vector index: build time, file size, recall@10, time of a search.

    python -m benchmarks.vector_index cifar10.zip --embeddings cifar10.npy
    python -m benchmarks.vector_index --damaged
    python -m benchmarks.vector_index --copies

The photos in a zip file are embedded with the built-in model, once. 1,000 of them are queries, and
50,000 others are in the index, at random. Recall is against exact search in float32. A library that
isn't installed is left out. Times of a search are of its thread, so that other programs on the
machine count less.
"""

import argparse
import importlib.util
import itertools
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.bundle import Precision

COUNT = 10
LINKS, BUILD_EFFORT = 16, 128
_DAMAGED = 12
Vectors = NDArray[np.float32]


@dataclass
class Candidate:
    """A library with one way to store numbers."""

    name: str
    module: str
    build: Callable[[Vectors, Path], None]
    open: Callable[[Path, int], Callable[[int], Callable[[Vectors], NDArray[np.int64]]]]
    """(file, dimension) -> effort -> vector -> rows"""


def _faiss(kind: str) -> Candidate:
    def build(vectors: Vectors, file: Path) -> None:
        import faiss

        quantizer = getattr(faiss.ScalarQuantizer, kind)
        index = faiss.IndexHNSWSQ(vectors.shape[1], quantizer, LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = BUILD_EFFORT
        index.train(vectors[:: max(1, len(vectors) // 5000)])
        index.add(vectors)
        faiss.write_index(index, str(file))

    def opened(file: Path, dimension: int) -> Any:
        import faiss

        index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
        return lambda effort: (
            lambda vector: index.search(
                vector[np.newaxis], COUNT, params=faiss.SearchParametersHNSW(efSearch=effort)
            )[1][0]
        )

    return Candidate(f"faiss {kind.removeprefix('QT_')}", "faiss", build, opened)


def _usearch(dtype: str) -> Candidate:
    def build(vectors: Vectors, file: Path) -> None:
        from usearch.index import Index

        index = Index(
            ndim=vectors.shape[1],
            metric="cos",
            dtype=dtype,
            connectivity=LINKS,
            expansion_add=BUILD_EFFORT,
        )
        index.add(np.arange(len(vectors)), _for_usearch(vectors, dtype))
        index.save(file)

    def opened(file: Path, dimension: int) -> Any:
        from usearch.index import Index

        index = Index.restore(file, view=True)

        def at(effort: int) -> Any:
            index.expansion_search = effort
            return lambda vector: (
                index.search(_for_usearch(vector[np.newaxis], dtype)[0], COUNT, threads=1).keys
            )

        return at

    return Candidate(f"usearch {dtype}", "usearch", build, opened)


def _for_usearch(vectors: Vectors, dtype: str) -> NDArray[Any]:
    """Scale each vector to the range of int8: its own conversion uses a tenth of the range."""
    if dtype != "i8":
        return vectors
    return np.round(vectors * (127 / np.abs(vectors).max(axis=1, keepdims=True))).astype(np.int8)


def _hnswlib() -> Candidate:
    def build(vectors: Vectors, file: Path) -> None:
        import hnswlib

        index = hnswlib.Index("ip", vectors.shape[1])
        index.init_index(len(vectors), M=LINKS, ef_construction=BUILD_EFFORT)
        index.add_items(vectors)
        index.save_index(str(file))

    def opened(file: Path, dimension: int) -> Any:
        import hnswlib

        index = hnswlib.Index("ip", dimension)
        index.load_index(str(file))

        def at(effort: int) -> Any:
            index.set_ef(effort)
            return lambda vector: index.knn_query(vector, COUNT, num_threads=1)[0][0]

        return at

    return Candidate("hnswlib f32", "hnswlib", build, opened)


CANDIDATES = [
    _faiss("QT_fp16"),
    _usearch("i8"),
    _faiss("QT_8bit"),
    _usearch("f16"),
    _hnswlib(),
]


def embed(photos: Path, precision: Precision | None = None, most: int | None = None) -> Vectors:
    """Return the embeddings of photos in a zip file.

    Args:
        photos: the zip file.
        precision: the precision of the built-in model; None: that which serves.
        most: so many photos, chosen at random; None: all, in the order of the names.
    """
    from app import vision
    from app.runtime.discovery import BUILT_IN_MODELS
    from app.runtime.loaded_model import load_model

    model = load_model(BUILT_IN_MODELS / "imagenet", "cpu", precision)
    spec = model.manifest.input
    view, limits = vision.view_of(spec, None), vision.Limits(20 << 20, 50_000_000, 65_535)
    with zipfile.ZipFile(photos) as file, ThreadPoolExecutor(2) as threads:
        names = sorted(name for name in file.namelist() if name.endswith(".jpg"))
        if most is not None:
            names = [names[i] for i in np.random.default_rng(0).permutation(len(names))[:most]]

        def one(name: str) -> Vectors:
            pixels = vision.resize(vision.decode(file.read(name), limits, view), spec)
            return model.session.outputs_of(["embedding"], pixels[np.newaxis])[0][0]

        return np.stack(list(threads.map(one, names)))


def exact(base: Vectors, queries: Vectors) -> NDArray[np.int64]:
    """Return the rows of the most similar vectors, for each query."""
    blocks = [
        np.argpartition(-(queries[i : i + 50] @ base.T), COUNT)[:, :COUNT]
        for i in range(0, len(queries), 50)
    ]
    return np.concatenate(blocks)


def measure(
    candidate: Candidate, base: Vectors, queries: Vectors, true: NDArray[np.int64]
) -> Iterator[str]:
    """Yield a row of the table for each effort."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "index"
        began, cpu = time.perf_counter(), time.process_time()
        candidate.build(base, file)
        built, used = time.perf_counter() - began, time.process_time() - cpu
        size = file.stat().st_size / 1e6
        at = candidate.open(file, base.shape[1])
        for effort in (32, 64, 128):
            search = at(effort)
            for query in queries[:50]:
                search(query)
            hits, times = 0, []
            for query, rows in zip(queries, true, strict=True):
                start = time.thread_time()
                found = search(query)
                times.append(time.thread_time() - start)
                hits += len(set(found.tolist()) & set(rows.tolist()))
            p50, p99 = np.percentile(times, [50, 99]) * 1e3
            yield (
                f"| {candidate.name} | {effort} | {built:.0f} ({used:.0f}) | {size:.0f} "
                f"| {hits / true.size:.4f} | {p50:.2f} | {p99:.2f} |"
            )


def read_damaged() -> Iterator[str]:
    """Yield what becomes of a process that opens and searches 12 damaged files, by library.

    Four files are cut off, four have 20 other bytes anywhere, four have them at the beginning.
    """
    rng = np.random.default_rng(0)
    vectors = rng.random((600, 256), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for candidate in CANDIDATES[:2]:
        if importlib.util.find_spec(candidate.module) is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "index"
            candidate.build(vectors, file)
            whole = file.read_bytes()
            np.save(f"{folder}/query.npy", vectors[0])
            for number in range(_DAMAGED):
                kind, nth = divmod(number, _DAMAGED // 3)
                data = bytearray(whole if kind else whole[: len(whole) * (nth + 1) // 5])
                reach = (0, len(data), 200)[kind]
                for place in rng.integers(0, reach, 20) if reach else ():
                    data[place] = rng.integers(256)
                file.write_bytes(data)
                call = f"search_file({folder!r}, {candidate.name!r})"
                code = f"from benchmarks.vector_index import search_file; {call}"
                done = subprocess.run(
                    [sys.executable, "-c", code], capture_output=True, timeout=60, check=False
                )
                end = {0: "searched", 1: "refused"}.get(done.returncode, "ended by a signal")
                yield f"{candidate.name}, file {number}: {end}"


def search_file(folder: str, name: str) -> None:
    """Open and search the file of a candidate, in a process of its own."""
    candidate = next(each for each in CANDIDATES if each.name == name)
    query = np.load(f"{folder}/query.npy")
    print(candidate.open(Path(folder) / "index", len(query))(64)(query))


def hidden_by_copies() -> Iterator[str]:
    """Yield how many of 300 photos a search for themselves misses, beside 4,000 copies of another.

    The vector of a copy differs at random by a share of its length, in all directions or along one.
    In brackets: the photos are missed only by the links, which the index doesn't use then.
    """
    from app.vector_index.distinct_vectors import DistinctVectors
    from app.vector_index.neighbours import Neighbours, to_unit_length

    dimension = 1280
    rng = np.random.default_rng(0)
    scale = rng.gamma(0.5, 1, dimension)
    photos = to_unit_length((scale * rng.gamma(1, 1, (3001, dimension))).astype(np.float32))
    count = 4000
    yield "| difference | directions | copies first | copies last |"
    yield "|---|---|---|---|"
    for directions, difference in itertools.product((dimension, 1), (0, 1e-3, 1e-2, 0.1, 0.2)):
        noise = rng.normal(size=(count, directions)) @ (
            np.eye(dimension) if directions > 1 else rng.normal(size=(1, dimension))
        )
        copies = to_unit_length(photos[0] + difference / dimension**0.5 * noise)
        missed = []
        for first, second in ((copies, photos[1:]), (photos[1:], copies)):
            distinct = DistinctVectors(Neighbours.create(dimension))
            distinct.add(np.concatenate([first, second]).astype(np.float16).astype(np.float32))
            offset = count if first is copies else 0
            found = [distinct.graph.search(photo, 1)[0][0] for photo in photos[1:301]]
            misses = sum(row != distinct.rows[offset + n] for n, row in enumerate(found))
            missed.append(f"({misses})" if distinct.graph.hides_rows() else f"{misses}")
        yield f"| {difference:g} | {directions} | {missed[0]} | {missed[1]} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--embeddings", type=Path)
    parser.add_argument("--damaged", action="store_true")
    parser.add_argument("--copies", action="store_true")
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--only", help="part of a candidate's name")
    options = parser.parse_args()
    if options.damaged or options.copies:
        for line in read_damaged() if options.damaged else hidden_by_copies():
            print(line, flush=True)
        return
    if not options.embeddings.exists():
        np.save(options.embeddings, embed(options.photos))
    vectors = np.load(options.embeddings)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = np.random.default_rng(0).permutation(len(vectors))
    queries = vectors[order[: options.queries]]
    base = vectors[order[options.queries : options.queries + options.count]]
    true = exact(base, queries)
    print(f"{len(base)} photos, {len(queries)} queries, {base.shape[1]} numbers", file=sys.stderr)
    print("| library | effort | build, s (CPU) | file, MB | recall@10 | p50, ms | p99, ms |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for candidate in CANDIDATES:
        if options.only and options.only not in candidate.name:
            continue
        if importlib.util.find_spec(candidate.module) is None:
            print(f"{candidate.module} is not installed", file=sys.stderr)
            continue
        for row in measure(candidate, base, queries, true):
            print(row, flush=True)


if __name__ == "__main__":
    main()
