"""Pixels -> images for the network, augmented at random.

    uint8 (N, S', S', 3) -> mirror -> random crop or shift -> normalised float (N, 3, S, S)

A photo is mirrored in every other epoch, so that two epochs show each photo from both sides
("alternating flip", Jordan 2024, arXiv:2404.00498). All randomness comes from the generator that is
passed in.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from training.networks.inference import normalize

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""uint8 (N, S', S', 3) -> normalised float (N, 3, S, S)."""

_CROP_AREA = (0.5, 1.0)
_ASPECT_RATIO = (4 / 5, 5 / 4)
_JITTER = 0.2


def mirror(pixels: Tensor, mask: Tensor) -> Tensor:
    """Mirror the photos of `pixels` (N, S, S, 3) where `mask` (N,) bool is set, left to right."""
    return torch.where(mask[:, None, None, None], pixels.flip(2), pixels)


def random_shift(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each photo by up to a sixteenth of its side, filling the edges by reflection."""
    count, side = pixels.shape[:2]
    most = max(1, side // 16)
    planes = pixels.permute(0, 3, 1, 2)
    padded = functional.pad(planes.float(), (most,) * 4, "reflect").permute(0, 2, 3, 1)
    offsets = torch.arange(side)
    corners = torch.randint(0, 2 * most + 1, (2, count, 1), generator=generator)
    rows, columns = (corners + offsets).unbind()
    indices = torch.arange(count)[:, None, None]
    return normalize(padded[indices, rows[:, :, None], columns[:, None, :]])


def downscale(images: Tensor, side: int) -> Tensor:
    """Downscale float (N, 3, S, S) to (N, 3, side, side) by averaging; S is `side` or more."""
    if images.size(3) == side:
        return images
    smaller: Tensor = functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
    return smaller


def random_crop_and_jitter(size: int) -> Augment:
    """Return an augmentation: random resized crops of half the area or more, colours jittered.

    Crops as in Szegedy et al. 2015, "Going Deeper with Convolutions", section 6; brightness,
    contrast and saturation vary by a fifth.
    """

    def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
        planes = normalize(pixels).contiguous()
        grid = functional.affine_grid(
            _crops(len(planes), generator), [len(planes), 3, size, size], align_corners=False
        )
        cropped = functional.grid_sample(
            planes, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )
        return _jitter_colours(cropped, generator)

    return augment


def _crops(count: int, generator: torch.Generator) -> Tensor:
    """Return random affine maps (N, 2, 3) from the crop to the photo, both from -1 to 1."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    area = uniform(*_CROP_AREA)
    ratio = torch.exp(uniform(*(float(torch.tensor(r).log()) for r in _ASPECT_RATIO)))
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    maps = torch.zeros(count, 2, 3)
    maps[:, 0, 0], maps[:, 1, 1] = width, height
    maps[:, 0, 2] = uniform(-1, 1) * (1 - width)
    maps[:, 1, 2] = uniform(-1, 1) * (1 - height)
    return maps


def _jitter_colours(planes: Tensor, generator: torch.Generator) -> Tensor:
    """Multiply brightness, contrast and saturation by 0.8 to 1.2 each."""
    factors = 1 + _JITTER * (2 * torch.rand(3, len(planes), 1, 1, 1, generator=generator) - 1)
    brightness, contrast, saturation = factors
    planes = (planes + 1) * brightness - 1
    mean = planes.mean(dim=(1, 2, 3), keepdim=True)
    planes = mean + (planes - mean) * contrast
    grey = planes.mean(dim=1, keepdim=True)
    return (grey + (planes - grey) * saturation).clamp(-1, 1)
