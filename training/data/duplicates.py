"""Photos -> groups of those that show the same picture.

Two photos are near duplicates where at most 15 % of the bits set in either of their difference
hashes differ, and their thumbnails differ by at most a quarter of their contrast. Saving a photo of
cats-dogs again at quality 40 or at half the size keeps it well within that; the nearest two
different photos of its million pairs are at 39 % (DECISIONS.md). Shares, not counts, because a
scan or a plain picture sets few bits; colours, because a plain picture sets none.
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
"""A mean difference that saving again makes in any picture, of 255."""
_BLOCK = 32


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Which photos show the same."""

    exact: list[list[int]]
    """Indices of photos with the same bytes; two or more each."""
    near: list[list[int]]
    """Indices of photos that look the same, among one another or through a third; the exact ones
    are among them."""
    group_of: NDArray[np.intp]
    """(N,) a number that photos which look the same share."""


def find(photos: Sequence[Photo]) -> Duplicates:
    """Compare every photo with every other."""
    exact = _alike([photo.sha256 for photo in photos])
    pairs = [(group[0], other) for group in exact for other in group[1:]]
    pairs += _near_pairs(photos)
    group_of = _joined(len(photos), pairs)
    return Duplicates(exact, _alike(group_of.tolist()), group_of)


def _alike(keys: Sequence[Hashable]) -> list[list[int]]:
    """The indices of equal keys, where there are two or more."""
    by_key: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        by_key[key].append(index)
    return [group for group in by_key.values() if len(group) > 1]


def _near_pairs(photos: Sequence[Photo]) -> list[tuple[int, int]]:
    words = np.packbits([photo.hash for photo in photos], axis=1).view(np.uint64).T
    words = np.ascontiguousarray(words)  # (4, N)
    count = np.bitwise_count(words).sum(axis=0, dtype=np.int16)
    colours = np.stack([photo.thumbnail for photo in photos]).astype(np.int16)
    contrast = colours.std(axis=(1, 2)).mean(axis=1)  # over places; a plain picture has none
    allowed = np.maximum(_NOISE, NEAR_COLOUR * contrast)

    def near(start: int) -> list[tuple[int, int]]:
        block = slice(start, start + _BLOCK)
        differing = np.zeros((len(count[block]), len(photos) - start), np.int16)
        for word in words:
            differing += np.bitwise_count(word[block, np.newaxis] ^ word[start:])
        # set in either: half of what is set in both hashes together and of what differs
        both = count[block, np.newaxis] + count[start:]
        ones, others = np.nonzero(differing * np.float32(2 / NEAR_BITS - 1) <= both)
        later = others > ones
        ones, others = ones[later] + start, others[later] + start
        apart = np.abs(colours[ones] - colours[others]).mean(axis=(1, 2, 3))
        alike = apart <= np.minimum(allowed[ones], allowed[others])
        return list(zip(ones[alike].tolist(), others[alike].tolist(), strict=True))

    starts = range(0, len(photos), _BLOCK)
    return [pair for pairs in map_in_order(near, starts, "comparing photos") for pair in pairs]


def _joined(count: int, pairs: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
    """For each index the lowest one that pairs lead to (union-find)."""
    above = list(range(count))

    def root(index: int) -> int:
        while above[index] != index:
            above[index] = above[above[index]]
            index = above[index]
        return index

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        above[high] = low
    return np.array([root(index) for index in range(count)], np.intp)
