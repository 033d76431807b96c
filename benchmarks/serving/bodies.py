"""The photos that are posted: three kinds of JPEG with quality 90, made from a folder of photos."""

import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageOps

KINDS = {"480": ((480, 480), 64), "web": ((500, 375), 64), "12mp": ((4000, 3000), 16)}
"""The kinds by name: width and height in pixels, and the number of photos."""

_SUFFIXES = (".jpg", ".jpeg")


def make(photos: Path, folder: Path, kinds: Iterable[str] | None = None) -> None:
    """Write the bodies of each of `kinds`, by default all, into `folder`/<kind>/."""
    files = sorted(file for file in photos.rglob("*") if file.suffix.lower() in _SUFFIXES)
    if not files:
        raise SystemExit(f"There are no JPEGs in {photos}. Name a folder of photos.")
    for kind in kinds or KINDS:
        size, count = KINDS[kind]
        (folder / kind).mkdir()
        step = max(1, len(files) // count)
        for number, file in enumerate(files[::step][:count]):
            (folder / kind / f"{number:02}.jpg").write_bytes(_encoded(file, size))


def _encoded(file: Path, size: tuple[int, int]) -> bytes:
    with Image.open(file) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    fitted = ImageOps.fit(upright, size, Image.Resampling.LANCZOS)
    body = io.BytesIO()
    fitted.save(body, "JPEG", quality=90)
    return body.getvalue()
