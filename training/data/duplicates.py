"""Find exact and near duplicates among photos.

    sha256                                     -> exact duplicates
    coarse pictures without their mean         -> candidates: pairs that may show the same picture
    distances of unrelated photos of this set  -> the bound
    candidates in detail (same_photo)          -> pairs within the bound
    groups in which every pair is within it    -> near duplicates

A group is complete-linked: a chain of similar photos, each like the next, is no group. The mean
picture of the set is subtracted first, because photos may be alike by nature, such as X-rays or
forms: what they have in common says nothing. Where even the detail of different photos is nearly
the same, no bound would be right; then exact duplicates alone are named.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data import candidates, same_photo
from training.data.photos import Photo
from training.mapped_pixels import release
from training.parallel import map_in_order

NEAR = 0.1
"""Largest distance of near duplicates; photos saved again, resized, brightened or slightly cropped
are within it (docs/experiments.md, 2026-11-28)."""
_NEAR_IF_FINE = 0.3
"""The same at twice the side, where saving a photo again changes more."""
_SHARE_OF_SCALE = 0.4
"""Near duplicates are at most this share of the usual distance of similar photos of the set."""
_LEAST_SCALE = 0.08
"""Under this usual distance, different photos of the set can't be told from copies."""
_CANDIDATE = 0.8
"""Least correlation of the coarse pictures of a candidate pair."""
_CANDIDATE_IF_ALIKE = 0.3
"""The same for the nearest photo, in a set of photos that are alike by nature."""
ALIKE = 0.6
"""Mean correlation of the coarse pictures of two photos from which a set is alike by nature."""
_SPARE_CANDIDATES = 1000
_SAMPLE = 48
_NEIGHBOURS = 8
_RANK = 4
_MIN_PHOTOS = 20
"""With fewer photos the set says nothing about its usual distances."""
_BLOCK = 512

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Pairs = list[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Groups of photos that show the same picture."""

    exact: list[list[int]]
    """Indices of photos with the same bytes; two or more each."""
    alike: list[list[int]]
    """Indices of photos that look the same, each like every other. Exact duplicates are
    included."""
    group_of: NDArray[np.intp]
    """(N,) a number for each photo, the same for photos that look the same."""
    bound: float
    """Largest distance of near duplicates in this set; 0 where none can be told."""
    likeness: float
    """Mean correlation of the coarse pictures of two photos of the set, -1 to 1."""


def find(photos: Sequence[Photo], pixels: Pixels) -> Duplicates:
    """Return the groups of photos with the same bytes, and of photos that look the same.

    Args:
        photos: the photos.
        pixels: (R, S, S, 3) uint8 RGB; each photo has a row.
    """
    exact = _equal_groups([photo.sha256 for photo in photos])
    copies = {index: group[0] for group in exact for index in group}
    single = [index for index in range(len(photos)) if copies.get(index, index) == index]
    finder = _Finder([photos[index] for index in single], pixels)
    group_of_single, bound = finder.groups()
    group_of = np.arange(len(photos))
    group_of[single] = np.array(single, np.intp)[group_of_single]
    for index, first in copies.items():
        group_of[index] = group_of[first]
    return Duplicates(exact, _equal_groups(group_of.tolist()), group_of, bound, finder.likeness)


class _Finder:
    """The near duplicates among photos with different bytes."""

    def __init__(self, photos: Sequence[Photo], pixels: Pixels) -> None:
        self._photos = photos
        self._pixels = pixels
        self._known: dict[tuple[int, int], float] = {}
        """The distances that were measured, by pair (lower index, higher index)."""
        coarse = np.stack([photo.coarse.ravel() for photo in photos]).astype(np.float32)
        standardised = _to_unit_length(coarse - coarse.mean(axis=1, keepdims=True))
        mean = standardised.mean(axis=0)
        count = len(photos)
        # |sum of unit vectors|^2 = N + the correlations of all ordered pairs
        self.likeness = (
            float((count * mean @ mean - 1) / (count - 1)) if count >= _MIN_PHOTOS else 0.0
        )
        self._coarse = _to_unit_length(standardised - mean) if self.likeness else standardised
        uses_graph = candidates.uses_graph(count)
        self._graph = candidates.graph_of(self._coarse) if uses_graph else None

    def groups(self) -> tuple[NDArray[np.intp], float]:
        """Return for each photo the lowest index of its group, and the bound."""
        bound = self._bound()
        own = np.arange(len(self._photos))
        if not bound:
            return own, bound
        pairs_to_compare = self._candidates()
        distances = self._distances(pairs_to_compare, "comparing photos")
        near = sorted(
            (distance, pair)
            for distance, pair in zip(distances, pairs_to_compare, strict=True)
            if distance <= bound
        )
        members: dict[int, list[int]] = {}
        group_of = own.copy()
        for _, (first, second) in near:
            one, other = int(group_of[first]), int(group_of[second])
            pairs = product(members.get(one, [one]), members.get(other, [other]))
            if one != other and all(self._distance(pair) <= bound for pair in pairs):
                low, high = sorted((one, other))
                members[low] = [*members.get(low, [low]), *members.pop(high, [high])]
                group_of[members[low]] = low
        return group_of, bound

    def _candidates(self) -> Pairs:
        """Return the pairs (lower index, higher index) whose coarse pictures are similar.

        Of very many, those with the most similar coarse pictures are returned: about as many as
        there are photos.
        """
        most = len(self._photos) + _SPARE_CANDIDATES

        if self._graph is not None:
            blocks = candidates.similar_pairs_of_graph(self._graph, self._coarse, _CANDIDATE)
        else:
            blocks = candidates.similar_pairs(self._coarse, _CANDIDATE, most)
        found: list[tuple[float, tuple[int, int]]] = []
        for pairs, values in blocks:
            found += [(-value, pair) for pair, value in zip(pairs, values, strict=True)]
            if len(found) > 2 * most:  # or alike photos would fill the memory
                found = sorted(set(found))[:most]
        best = {pair for _, pair in sorted(set(found))[:most]}
        if self.likeness >= ALIKE:
            best |= self._nearest_pairs()
        return sorted(best)

    def _nearest_pairs(self) -> set[tuple[int, int]]:
        """Return each photo with the most similar other one, in coarse pictures."""
        pairs = set()
        for start, (others, values) in self._nearest_blocks():
            for index in np.flatnonzero(values >= _CANDIDATE_IF_ALIKE).tolist():
                one, other = index + start, int(others[index])
                pairs.add((min(one, other), max(one, other)))
        return pairs

    def _nearest_blocks(self) -> Iterator[tuple[int, tuple[NDArray[np.int64], Floats]]]:
        """Yield the nearest photos of some photos, and their correlations, from a first index."""
        if self._graph is not None:
            yield 0, candidates.nearest(self._graph, self._coarse)
            return
        for start in range(0, len(self._coarse), _BLOCK):
            correlation = self._coarse[start : start + _BLOCK] @ self._coarse.T
            places = np.arange(len(correlation))
            correlation[places, places + start] = -1
            others = correlation.argmax(axis=1)
            yield start, (others, correlation[places, others])

    def _bound(self) -> float:
        """Return the largest distance of near duplicates.

        It is scaled by the usual distance of a photo to its fifth nearest one, because copies are
        among the nearest.
        """
        count = len(self._photos)
        if count < _MIN_PHOTOS:
            return NEAR
        sample = np.unique(np.linspace(0, count - 1, _SAMPLE).astype(int)).tolist()
        pairs: Pairs = []
        for index in sample:
            correlation = self._coarse @ self._coarse[index]
            correlation[index] = -2
            nearest = np.argsort(-correlation)[: min(_NEIGHBOURS, count - 1)]
            pairs += [(min(index, other), max(index, other)) for other in nearest.tolist()]
        distances = np.array(self._distances(pairs, "measuring distances"))
        by_photo = np.sort(distances.reshape(len(sample), -1), axis=1)
        scale = float(np.median(by_photo[:, _RANK]))
        return 0.0 if scale < _LEAST_SCALE else min(NEAR, _SHARE_OF_SCALE * scale)

    def _distances(self, pairs: Pairs, label: str) -> list[float]:
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
        for pair, distance in zip(new, map_in_order(self._measure, new, label), strict=True):
            self._known[pair] = distance
            if len(self._known) % _BLOCK == 0:
                release(self._pixels)
        return [self._known[pair] for pair in pairs]

    def _distance(self, pair: tuple[int, int]) -> float:
        low, high = sorted(pair)
        if (low, high) not in self._known:
            self._known[low, high] = self._measure((low, high))
        return self._known[low, high]

    def _measure(self, pair: tuple[int, int]) -> float:
        """Return the distance of two photos; a set alike by nature is looked at more closely."""
        distance = self._distance_at(same_photo.MAX_SIDE, pair)
        if self.likeness >= ALIKE and distance <= NEAR:
            fine = self._distance_at(same_photo.FINE_SIDE, pair)
            return max(distance, fine if fine > _NEAR_IF_FINE else 0.0)
        return distance

    def _distance_at(self, most: int, pair: tuple[int, int]) -> float:
        first, second = (self._photos[index] for index in pair)
        side = same_photo.side_for(
            first.width, first.height, second.width, second.height, most=most
        )
        one, other = (
            same_photo.detail_of(self._pixels[photo.row], side) for photo in (first, second)
        )
        return same_photo.distance(one, other)


def _to_unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-3))


def _equal_groups(keys: Sequence[Hashable]) -> list[list[int]]:
    """Return the groups of indices with equal keys, of two or more each."""
    by_key: defaultdict[Any, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        by_key[key].append(index)
    return [group for group in by_key.values() if len(group) > 1]
