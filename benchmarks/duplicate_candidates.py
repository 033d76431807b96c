"""Compare the two ways to find pairs of photos with similar coarse pictures: all pairs, the graph.

    python -m benchmarks.duplicate_candidates cifar10.zip --counts 10000 20000 50000

Prints the seconds of both, and the share of the pairs that the graph finds.
"""

import argparse
import io
import time
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data import candidates

LEAST = 0.8
SIDE = 16


def coarse_pictures(photos: Path, count: int) -> NDArray[np.float32]:
    """Return grey pictures of the photos in a zip file, as training.data.duplicates has them."""
    with zipfile.ZipFile(photos) as file:
        names = sorted(name for name in file.namelist() if name.endswith(".jpg"))[:count]
        rows = [
            np.asarray(
                Image.open(io.BytesIO(file.read(name)))
                .convert("L")
                .resize((SIDE, SIDE), Image.Resampling.BOX),
                np.float32,
            ).ravel()
            for name in names
        ]
    vectors = np.stack(rows)
    vectors -= vectors.mean(axis=1, keepdims=True)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-3)
    vectors -= vectors.mean(axis=0)
    return np.asarray(
        vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-3), np.float32
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 20_000, 50_000])
    parser.add_argument("--least", type=float, default=LEAST)
    options = parser.parse_args()
    everything = coarse_pictures(options.photos, max(options.counts))
    rng = np.random.default_rng(0)
    everything = everything[rng.permutation(len(everything))]
    print("| photos | pairs | found by the graph | all pairs, s (CPU) | graph, s (CPU) |")
    print("|---|---|---|---|---|")
    for count in options.counts:
        coarse = np.ascontiguousarray(everything[:count])
        times = []
        found: list[set[tuple[int, int]]] = []
        for use_graph in (False, True):
            began, cpu = time.perf_counter(), time.process_time()
            if use_graph:
                graph = candidates.graph_of(coarse)
                assert graph is not None
                blocks = candidates.similar_pairs_of_graph(graph, coarse, options.least)
            else:
                blocks = candidates.similar_pairs(coarse, options.least, 10**9)
            found.append({pair for pairs, _ in blocks for pair in pairs})
            times.append((time.perf_counter() - began, time.process_time() - cpu))
        share = len(found[0] & found[1]) / max(1, len(found[0]))
        cells = " | ".join(f"{wall:.0f} ({cpu:.0f})" for wall, cpu in times)
        print(f"| {count} | {len(found[0])} | {share:.4f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
