"""ICC profiles: from an embedded profile to a function that brings pixels to sRGB.

profile bytes -> too large, invalid, or for another colour space?  None: it is ignored
              -> maps colours to themselves, near enough?          None: it is sRGB
              -> littleCMS transform, kept for the next picture with the same profile

Browsers ignore profiles that they can't use, too. The intent is perceptual, as in browsers:
for the matrix profiles of cameras and phones all intents are the same, and the tables of
print profiles are made for it.

A transform may be used by several threads at once: littleCMS copies its one-pixel cache to the
stack in each call (cmsxform.c, CachedXFORM).
"""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 4 << 20
"""A larger profile is ignored. Those of cameras have 0.5 to 4 KB, those of presses up to 3 MB."""

KEPT_TRANSFORMS = 16

SAME_WITHIN = 2
"""Largest difference, of 255, that counts as the same colour."""

_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from pixels of `mode` (L, RGB or CMYK) under `profile` to sRGB RGB.

    None where the pixels should be taken as they are: there is no profile, it can't be used, or
    it changes no colour by more than 2 of 255.
    """
    if not profile or len(profile) > MAX_PROFILE_BYTES:
        return None
    return _built(profile, mode)


@lru_cache(maxsize=KEPT_TRANSFORMS)
def _built(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        built = ImageCms.ImageCmsTransform(
            source,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            ImageCms.Intent.PERCEPTUAL,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return None if _changes_nothing(built, mode) else built


def _changes_nothing(built: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    sample = _sample(mode)
    before = np.asarray(sample.convert("RGB")).astype(np.int16)
    after = np.asarray(built.apply(sample)).astype(np.int16)
    return int(np.abs(after - before).max()) <= SAME_WITHIN


def _sample(mode: str) -> Image.Image:
    """All greys, or 16 levels of each of R, G and B."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8).reshape(1, 256))
    levels = np.linspace(0, 255, 16).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
    return Image.fromarray(np.ascontiguousarray(cube.reshape(16, 256, 3)))
