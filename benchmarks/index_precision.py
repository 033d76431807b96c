"""Measure how a precision changes the results of a search for similar photos.

    python -m benchmarks.index_precision cifar10.zip [--count 10000] [--queries 1000]

The photos in a zip file are embedded with the built-in model in fp32 and in int8. Some of them are
queries, the others are searched, exactly, by the cosine of the embeddings. Printed, in Markdown:
recall@10 of each pair of precisions against the ten nearest in fp32, and how many of the ten
nearest lie within a hundredth of the tenth's similarity, which any difference may exchange.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.processor import describe
from benchmarks.vector_index import COUNT, Vectors, embed, exact

_CLOSE = 0.01


def unit(vectors: Vectors) -> Vectors:
    """Return the vectors at length 1."""
    scaled: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def recall(found: NDArray[np.int64], true: NDArray[np.int64]) -> float:
    """Return the share of `true` (Q, 10) that is in `found`."""
    pairs = zip(found.tolist(), true.tolist(), strict=True)
    return sum(len(set(a) & set(b)) for a, b in pairs) / true.size


def close_to_last(base: Vectors, queries: Vectors, true: NDArray[np.int64]) -> float:
    """Return the share of the nearest whose similarity is within a hundredth of the tenth's."""
    similarities: Any = np.einsum("qd,qkd->qk", queries, base[true])
    return float((similarities < similarities.min(axis=1, keepdims=True) + _CLOSE).mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=1000)
    options = parser.parse_args()
    most = options.count + options.queries
    fp32, int8 = (unit(embed(options.photos, each, most)) for each in ("fp32", "int8"))
    parts = {
        name: (vectors[options.queries :], vectors[: options.queries])
        for name, vectors in (("fp32", fp32), ("int8", int8))
    }
    true = exact(*parts["fp32"])
    print(f"{describe()}\n\n{len(parts['fp32'][0])} photos, {len(true)} queries\n")
    print(f"| index | search | recall@{COUNT} |\n|---|---|---|")
    for index, search in (("fp32", "int8"), ("int8", "fp32"), ("int8", "int8")):
        found = exact(parts[index][0], parts[search][1])
        print(f"| {index} | {search} | {recall(found, true):.4f} |")
    close = close_to_last(*parts["fp32"], true)
    print(f"\n{100 * close:.0f} % of the nearest are within {_CLOSE} of the tenth's similarity.")


if __name__ == "__main__":
    main()
