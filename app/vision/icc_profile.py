"""Build the transform from an embedded ICC profile to sRGB.

profile bytes -> too large, invalid, or for another colour space?  None: it is ignored
              -> changes no colour noticeably?                     None: it is sRGB
              -> littleCMS transform, cached for the next image with the same profile

Browsers ignore profiles that they can't use, too. The intent is perceptual, as in browsers:
for the matrix profiles of cameras and phones all intents are the same, and the tables of
print profiles are made for it.

Several threads may use one transform at once: littleCMS copies its one-pixel cache to the
stack in each call (cmsxform.c, CachedXFORM).
"""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 4 << 20
"""A larger profile is ignored. Those of cameras have 0.5 to 4 KB, those of presses up to 3 MB."""

CACHED_TRANSFORMS = 16

MAX_UNNOTICED_DIFFERENCE = 2
"""Largest difference, of 255, that counts as the same colour."""

_COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""The name in a profile, by the mode of an image."""


def srgb_transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from pixels of `mode` (L, RGB or CMYK) under `profile` to sRGB RGB.

    It is None if there is no profile, if the profile can't be used, or if it changes no colour by
    more than 2 of 255. The pixels are then used unchanged.
    """
    if not profile or len(profile) > MAX_PROFILE_BYTES:
        return None
    return _build(profile, mode)


@lru_cache(maxsize=CACHED_TRANSFORMS)
def _build(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != _COLOUR_SPACES[mode]:
            return None
        transform = ImageCms.ImageCmsTransform(
            source,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            ImageCms.Intent.PERCEPTUAL,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return None if _changes_nothing(transform, mode) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    sample = _sample(mode)
    before = np.asarray(sample.convert("RGB")).astype(np.int16)
    after = np.asarray(transform.apply(sample)).astype(np.int16)
    return int(np.abs(after - before).max()) <= MAX_UNNOTICED_DIFFERENCE


def _sample(mode: str) -> Image.Image:
    """Return an image of all greys, or of 16 levels of each of R, G and B."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8).reshape(1, 256))
    levels = np.linspace(0, 255, 16).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
    return Image.fromarray(np.ascontiguousarray(cube.reshape(16, 256, 3)))
