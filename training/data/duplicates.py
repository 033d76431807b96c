"""Find exact and near duplicates among photos.

    sha256                             -> exact duplicates
    difference hashes, thumbnails      -> near duplicates
    both                               -> groups of photos that show the same picture

Two photos are near duplicates under two conditions. Of the bits set in either of their difference
hashes at most 15 % differ, and their thumbnails differ by at most a quarter of their contrast. A
photo of cats-dogs that is saved again at quality 40 or at half the size is well within that. Among
the million pairs of different photos in cats-dogs, the smallest share of differing bits is 39 %
(docs/experiments.md, 2026-11-23). The limit is a share of the set bits, because scans and plain
pictures have few. Thumbnails are compared as well, because a plain picture has no set bit.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.photos import Photo
from training.parallel import map_in_order

NEAR_BITS = 0.15
"""Largest share of differing bits, among those that are set in either hash."""
NEAR_COLOUR = 0.25
"""Largest mean difference of the thumbnails, as a share of their contrast."""
_NOISE = 2.0
"""A mean difference (of 255) that saving a picture again can cause; it is always allowed."""
_BLOCK = 32


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Groups of photos that show the same picture."""

    exact: list[list[int]]
    """Indices of photos with the same bytes; two or more each."""
    alike: list[list[int]]
    """Indices of photos that look the same, directly or through other photos. Exact
    duplicates are included."""
    group_of: NDArray[np.intp]
    """(N,) a number for each photo, the same for photos that look the same."""


def find(photos: Sequence[Photo]) -> Duplicates:
    """Return the groups of photos with the same bytes, and of photos that look alike."""
    exact = _equal_groups([photo.sha256 for photo in photos])
    pairs = [(group[0], other) for group in exact for other in group[1:]]
    pairs += _near_pairs(photos)
    group_of = _connected(len(photos), pairs)
    return Duplicates(exact, _equal_groups(group_of.tolist()), group_of)


def _equal_groups(keys: Sequence[Hashable]) -> list[list[int]]:
    """Return the groups of indices with equal keys, of two or more each."""
    by_key: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        by_key[key].append(index)
    return [group for group in by_key.values() if len(group) > 1]


def _near_pairs(photos: Sequence[Photo]) -> list[tuple[int, int]]:
    words = np.packbits([photo.hash for photo in photos], axis=1).view(np.uint64).T
    words = np.ascontiguousarray(words)  # (4, N)
    count = np.bitwise_count(words).sum(axis=0, dtype=np.int16)
    colours = np.stack([photo.thumbnail for photo in photos]).astype(np.int16)
    contrast = colours.std(axis=(1, 2)).mean(axis=1)  # over positions; 0 for a plain picture
    allowed = np.maximum(_NOISE, NEAR_COLOUR * contrast)

    def near(start: int) -> list[tuple[int, int]]:
        block = slice(start, start + _BLOCK)
        differing = np.zeros((len(count[block]), len(photos) - start), np.int16)
        for word in words:
            differing += np.bitwise_count(word[block, np.newaxis] ^ word[start:])
        # bits set in either hash = (bits of the one + bits of the other + differing bits) / 2
        bits = count[block, np.newaxis] + count[start:]
        ones, others = np.nonzero(differing * np.float32(2 / NEAR_BITS - 1) <= bits)
        later = others > ones
        ones, others = ones[later] + start, others[later] + start
        apart = np.abs(colours[ones] - colours[others]).mean(axis=(1, 2, 3))
        alike = apart <= np.minimum(allowed[ones], allowed[others])
        return list(zip(ones[alike].tolist(), others[alike].tolist(), strict=True))

    starts = range(0, len(photos), _BLOCK)
    return [pair for pairs in map_in_order(near, starts, "comparing photos") for pair in pairs]


def _connected(count: int, pairs: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
    """Return for each index the lowest index that it is connected to by pairs (union-find)."""
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for first, second in pairs:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    return np.array([root(index) for index in range(count)], np.intp)
