"""The photos that are posted, made once from a folder of photos: three kinds, JPEG, quality 90."""

import io
from pathlib import Path

from PIL import Image, ImageOps

KINDS = {"480": ((480, 480), 64), "web": ((500, 375), 64), "12mp": ((4000, 3000), 16)}
"""By name: width and height in pixels, and how many."""

_SUFFIXES = (".jpg", ".jpeg")


def make(photos: Path, folder: Path) -> None:
    """Write the bodies of each kind into `folder`/<kind>/."""
    found = sorted(file for file in photos.rglob("*") if file.suffix.lower() in _SUFFIXES)
    if not found:
        raise SystemExit(f"There are no JPEGs in {photos}. Name a folder of photos.")
    for kind, (size, count) in KINDS.items():
        (folder / kind).mkdir()
        step = max(1, len(found) // count)
        for number, file in enumerate(found[::step][:count]):
            (folder / kind / f"{number:02}.jpg").write_bytes(_encoded(file, size))


def _encoded(file: Path, size: tuple[int, int]) -> bytes:
    with Image.open(file) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    fitted = ImageOps.fit(upright, size, Image.Resampling.LANCZOS)
    body = io.BytesIO()
    fitted.save(body, "JPEG", quality=90)
    return body.getvalue()
