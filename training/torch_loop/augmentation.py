"""Pixels -> what a network sees of them, a little different each time.

    uint8 (N, S', S', 3) -> cut -> mirrored -> normalised float (N, 3, S, S)

A mirrored photo is mirrored back the next time, so that two epochs show each photo from both sides
("alternating flip", Jordan 2024, arXiv:2404.00498). All randomness comes from the generator that is
handed in.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from training.networks.inference import normalize

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""uint8 (N, S', S', 3) -> normalised float (N, 3, S, S)."""

_AREA = (0.5, 1.0)
_RATIO = (4 / 5, 5 / 4)
_JITTER = 0.2


def mirrored(pixels: Tensor, which: Tensor) -> Tensor:
    """`pixels` (N, S, S, 3), those of `which` (N,) bool from left to right."""
    return torch.where(which[:, None, None, None], pixels.flip(2), pixels)


def shifted(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Each photo moved by up to a sixteenth of its side, the edges filled by reflection."""
    count, side = pixels.shape[:2]
    most = max(1, side // 16)
    planes = pixels.permute(0, 3, 1, 2)
    padded = functional.pad(planes.float(), (most,) * 4, "reflect").permute(0, 2, 3, 1)
    places = torch.arange(side)
    corners = torch.randint(0, 2 * most + 1, (2, count, 1), generator=generator)
    rows, columns = (corners + places).unbind()
    numbers = torch.arange(count)[:, None, None]
    return normalize(padded[numbers, rows[:, :, None], columns[:, None, :]])


def reduced(images: Tensor, side: int) -> Tensor:
    """Float (N, 3, S, S) -> (N, 3, side, side), each pixel a mean; S is `side` or more."""
    if images.size(3) == side:
        return images
    smaller: Tensor = functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
    return smaller


def cut_and_coloured(size: int) -> Augment:
    """Random cuts of half the area and more, brought to `size`, with the colours jittered.

    Cuts as in Szegedy et al. 2015, "Going Deeper with Convolutions", section 6; brightness,
    contrast and saturation vary by a fifth.
    """

    def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
        planes = normalize(pixels).contiguous()
        grid = functional.affine_grid(
            _cuts(len(planes), generator), [len(planes), 3, size, size], align_corners=False
        )
        cut = functional.grid_sample(
            planes, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )
        return _coloured(cut, generator)

    return augment


def _cuts(count: int, generator: torch.Generator) -> Tensor:
    """Affine maps (N, 2, 3) from the cut to the photo, both from -1 to 1."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    area = uniform(*_AREA)
    ratio = torch.exp(uniform(*(float(torch.tensor(r).log()) for r in _RATIO)))
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    maps = torch.zeros(count, 2, 3)
    maps[:, 0, 0], maps[:, 1, 1] = width, height
    maps[:, 0, 2] = uniform(-1, 1) * (1 - width)
    maps[:, 1, 2] = uniform(-1, 1) * (1 - height)
    return maps


def _coloured(planes: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation, each times 0.8 to 1.2."""
    factors = 1 + _JITTER * (2 * torch.rand(3, len(planes), 1, 1, 1, generator=generator) - 1)
    brightness, contrast, saturation = factors
    planes = (planes + 1) * brightness - 1
    mean = planes.mean(dim=(1, 2, 3), keepdim=True)
    planes = mean + (planes - mean) * contrast
    grey = planes.mean(dim=1, keepdim=True)
    return (grey + (planes - grey) * saturation).clamp(-1, 1)
