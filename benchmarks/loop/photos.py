"""The photos of the loop: those that are taught, sent and held out, and a film for the webcam."""

import io
import random
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

_FRAMES = 6
"""Frames that a photo stays in front of the webcam, of 30 a second: about one shot's time."""
_FILM = (640, 480)
_BIRDS = ((1514859, 1622779), (1795545, 1860187), (2002556, 2058221))
"""Ranges of WordNet's numbers that are birds, among ImageNet's classes."""


@dataclass(frozen=True)
class Third:
    """Photos of the third animal: those that traffic brings, and those that are held out."""

    name: str
    sent: Sequence[bytes]
    held_out: Sequence[bytes]


def sample(folder: Path, number: int, seed: int = 0) -> list[Path]:
    """Return `number` photos of a folder, by chance."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg"})
    return random.Random(seed).sample(files, number)


def film(photos: Iterable[Path]) -> bytes:
    """Return a film for Chromium's fake webcam: JPEGs, one after another."""
    frames = bytearray()
    for file in photos:
        with Image.open(file) as photo:
            image = ImageOps.pad(photo.convert("RGB"), _FILM, color=(96, 96, 96))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=90)
        frames += buffer.getvalue() * _FRAMES
    return bytes(frames)


def birds(imagenet: Path, sent: int) -> Third:
    """Return the birds among one photo per class of ImageNet."""
    files = [path for folder in sorted(imagenet.iterdir()) for path in sorted(folder.iterdir())]
    found = [path.read_bytes() for path in files if _is_bird(path)]
    random.Random(0).shuffle(found)
    return Third("bird", found[:sent], found[sent:])


def cifar(archive: Path, label: str, sent: int, held_out: int) -> Third:
    """Return photos of CIFAR-10: those of training are sent, those of its test are held out."""
    with zipfile.ZipFile(archive) as opened:
        names = sorted(opened.namelist())
        parts = []
        for part, number in (("train", sent), ("test", held_out)):
            mine = [
                name for name in names if f"/{part}/{label}/" in name and not name.endswith("/")
            ]
            parts.append([opened.read(name) for name in mine[:number]])
    return Third(label, *parts)


def _is_bird(path: Path) -> bool:
    found = re.match(r"n(\d{8})", path.parent.name)
    return found is not None and any(low <= int(found[1]) <= high for low, high in _BIRDS)
