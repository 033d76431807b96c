"""Compare two photos in detail: the distance that tells a copy from a similar photo.

    pixels -> grey, 64x64 -> aligned (shift and scale, for a slight crop) -> detail
    detail of both -> 1 - correlation: 0 for the same picture, about 1 for different ones

Detail is what a blur removes. Photos that are aligned by nature (X-rays, forms) agree in brightness
and differ in detail; a photo that was saved again, resized, made brighter or slightly cropped keeps
its detail. docs/experiments.md (2026-11-28) has the distances of such photos.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FINE_SIDE = 128
"""Side at which photos that are alike by nature are compared a second time, in pixels."""
MAX_SIDE = 64
"""Side at which photos are compared, in pixels; small photos are compared at 2/3 of their side."""
_MIN_SIDE = 16
_DETAIL_SIGMA = 2.0
"""The blur that separates detail from the rest, in pixels."""
_NOISE = 1.0
"""Detail (root mean square, of 255) that saving a photo can cause: less counts as none."""
_FAINT = 4.0
"""Detail (root mean square, of 255) below which blurred photos are compared at half the side."""
_BLOCK = 16
_LOCAL = 0.5
"""Least correlation of each block of 16x16 pixels that has detail: an object or a word that differs
lowers it."""
_BLOCK_DETAIL = 3.0
"""Detail (root mean square, of 255) from which a block counts as having detail."""
_ALIGN_STAGES = ((4.0, 0.5), (2.0, 0.7), (1.0, 0.7))
"""The blur of each stage, and the least correlation that it must reach for the next."""
_ALIGN_STEPS = 4
_MAX_SHIFT = 0.12
"""Largest displacement of an edge, as a share of the side: crops beyond that aren't found."""
_NEGLIGIBLE = 1e-9
"""Weight of a blur that counts as 0. Far smaller ones (denormal) are multiplied very slowly."""
_PLAIN = 2.0
"""Largest mean difference (of 255) of two pictures without detail."""

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Detail:
    """A photo as it is compared."""

    grey: Floats
    """(R, R), of 255."""
    colour: Floats
    """(8, 8, 3) RGB, of 255."""


def detail_of(pixels: NDArray[np.uint8], side: int) -> Detail:
    """Return a photo's detail at `side` from its pixels (S, S, 3) uint8 RGB."""
    image = Image.fromarray(pixels)
    grey = image.convert("L").resize((side, side), Image.Resampling.BOX)
    colour = image.resize((8, 8), Image.Resampling.BOX)
    return Detail(np.asarray(grey, np.float32), np.asarray(colour, np.float32))


def side_for(*smallest_sides: int, most: int = MAX_SIDE) -> int:
    """Return the side at which photos with these smallest sides are compared, at most `most`."""
    return int(np.clip(min(smallest_sides) // 3 * 2, _MIN_SIDE, most))


def distance(first: Detail, second: Detail) -> float:
    """Return how much two photos of the same side differ in detail: from 0 to 2, 1 at most usual.

    Photos that differ in colour, or locally, have a distance of 1 or more.
    """
    if _colours_differ(first.colour, second.colour):
        return 1.0
    a, b, inside = first.grey, second.grey, np.ones_like(first.grey, bool)
    here, there = _without_blur(a), _without_blur(b)
    detail = max(_rms(here, inside), _rms(there, inside))
    if detail < _FAINT and len(a) >= 2 * _MIN_SIDE:
        return distance(_halved(first), _halved(second))
    if detail < _NOISE:
        is_same = np.abs(first.colour - second.colour).mean() <= _PLAIN
        return 0.0 if is_same else 1.0
    unaligned = _difference(here, there, inside)
    shift = _displacement(a, b)
    if shift is None:
        return unaligned
    moved, rows, columns = _moved(b, shift, _places(len(b)))
    inside = np.zeros_like(inside)
    inside[rows, columns] = True
    return min(unaligned, _difference(here, _without_blur(moved), inside))


def _difference(a: Floats, b: Floats, inside: NDArray[np.bool_]) -> float:
    """Return 1 minus the correlation of two details, or 1 where a block differs."""
    a, b = np.where(inside, a, 0), np.where(inside, b, 0)
    rms_a, rms_b = _rms(a, inside), _rms(b, inside)
    correlation = float((a * b).sum() / inside.sum() / (rms_a * rms_b + _NOISE**2 / 4))
    scaled = b * (rms_a / max(rms_b, _NOISE))
    energy = (_by_block(a * a) + _by_block(scaled * scaled)) / 2
    pixels = _by_block(inside.astype(np.float32))
    has_detail = (energy > _BLOCK_DETAIL**2 * pixels) & (pixels > pixels.max() / 2)
    local = _by_block(a * scaled)[has_detail] / energy[has_detail]
    if local.size and local.min() < _LOCAL:
        return max(1.0, 1 - correlation)
    return 1 - correlation


def _displacement(a: Floats, b: Floats) -> NDArray[np.float64] | None:
    """Return the shift and the scaling that bring `b` onto `a`, or None for different pictures.

    The method is that of Lucas and Kanade (1981), coarse to fine.

    Returns:
        (4,) in pixels: the shift in x and y, and what scaling in x and y adds at the edges.
    """
    side = len(a)
    where = _places(side)
    shift, limit = np.zeros(4), _MAX_SHIFT * side
    for sigma, least in _ALIGN_STAGES:
        target, source = _standardised(_blurred(a, sigma)), _blurred(b, sigma)
        for _ in range(_ALIGN_STEPS):
            moved, rows, columns = _moved(source, shift, where)
            moved = _standardised(moved)
            slopes = _slopes(moved, where)[:, rows, columns].reshape(4, -1)
            error = (target - moved)[rows, columns].ravel()
            hessian = (slopes @ slopes.T).astype(np.float64) + 1e-5 * error.size * np.eye(4)
            step = np.linalg.solve(hessian, slopes @ error)
            shift = np.clip(shift + np.clip(step, -2, 2), -limit, limit)
        moved, rows, columns = _moved(source, shift, where)
        if float((target * _standardised(moved))[rows, columns].mean()) < least:
            return None
    return shift


def _slopes(picture: Floats, where: Floats) -> Floats:
    """Return how a picture changes with each of the four values of a shift, (4, R, R)."""
    slopes = np.empty((4, *picture.shape), np.float32)
    for slope, across in ((slopes[0], picture.T), (slopes[1], picture)):
        by_row = slope.T if across is not picture else slope
        np.subtract(across[2:], across[:-2], out=by_row[1:-1])
        by_row[1:-1] *= 0.5
        np.subtract(across[1], across[0], out=by_row[0])
        np.subtract(across[-1], across[-2], out=by_row[-1])
    np.multiply(slopes[0], where, out=slopes[2])
    np.multiply(slopes[1], where[:, np.newaxis], out=slopes[3])
    return slopes


@functools.cache
def _places(side: int) -> Floats:
    """Return the place of each row or column, (side,), from -1 to 1."""
    return np.linspace(-1, 1, side, dtype=np.float32)


def _moved(
    picture: Floats, shift: NDArray[np.float64], where: Floats
) -> tuple[Floats, slice, slice]:
    """Return a picture shifted and scaled along both axes, and the rows and columns with pixels."""
    across, columns = _interpolation(len(picture), shift[0] + shift[2] * where)
    down, rows = _interpolation(len(picture), shift[1] + shift[3] * where)
    return np.asarray(down @ picture @ across.T), rows, columns


def _interpolation(side: int, offsets: Floats) -> tuple[Floats, slice]:
    """Return the matrix (side, side) that reads each place plus its offset, linearly."""
    numbers = np.arange(side)
    places = numbers + offsets  # they rise, since a shift is a small share of the side
    first, last = np.searchsorted(places, 0.0), np.searchsorted(places, side - 1.0, "right")
    places = places.clip(0, side - 1)
    below = places.astype(np.intp)
    weights = np.zeros((side, side), np.float32)
    weights[numbers, np.minimum(below + 1, side - 1)] = places - below
    weights[numbers, below] = 1 - (places - below)
    return weights, slice(int(first), int(last))


def _halved(detail: Detail) -> Detail:
    half = len(detail.grey) // 4 * 2
    grey = detail.grey[: 2 * half, : 2 * half].reshape(half, 2, half, 2).mean(axis=(1, 3))
    return Detail(grey, detail.colour)


def _colours_differ(a: Floats, b: Floats) -> bool:
    """Return whether two photos (8, 8, 3) differ in colour; a change of brightness is allowed."""
    first, second = (each - each.mean(axis=2, keepdims=True) for each in (a, b))
    gain = np.clip(a.mean() / max(float(b.mean()), 1.0), 0.5, 2.0)
    size = max(float(np.abs(first).mean()), float(np.abs(second * gain).mean()))
    return bool(np.abs(first - second * gain).mean() > 3.0 + 0.3 * size)


def _without_blur(picture: Floats) -> Floats:
    return np.asarray(picture - _blurred(picture, _DETAIL_SIGMA))


def _blurred(picture: Floats, sigma: float) -> Floats:
    kernel = _blur_matrix(len(picture), sigma)
    return np.asarray(kernel @ picture @ kernel.T)


@functools.cache
def _blur_matrix(side: int, sigma: float) -> Floats:
    """Return the matrix (side, side) of a Gaussian blur whose rows sum to 1."""
    places = np.arange(side)
    weights = np.exp(-(((places[:, np.newaxis] - places) / sigma) ** 2) / 2)
    weights[weights < _NEGLIGIBLE] = 0
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _standardised(picture: Floats) -> Floats:
    return np.asarray((picture - picture.mean()) / (picture.std() + 1e-3))


def _rms(picture: Floats, inside: NDArray[np.bool_]) -> float:
    return float(np.sqrt((picture * picture).sum() / max(int(inside.sum()), 1)))


def _by_block(picture: Floats) -> Floats:
    """Return the sums of the blocks of a picture, which are about 16 pixels wide and high."""
    blocks = max(2, len(picture) // _BLOCK)
    edges = np.linspace(0, len(picture), blocks + 1).astype(int)[:-1]
    sums: Floats = np.add.reduceat(np.add.reduceat(picture, edges, axis=0), edges, axis=1)
    return sums
