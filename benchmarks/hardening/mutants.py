"""Damage image files in many ways, each of them repeatable from a seed.

seed files (`seed_files`) -> `mutant`: one to three kinds of damage -> PNG: often valid checksums
"""

import random
import re
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import ImageCms

from benchmarks.hardening.images import cases, image, pillow

_EXTREMES = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 4095, 16383, 16384, 32767, 32768, 65534, 65535)
_WIDE_EXTREMES = (*_EXTREMES, 65536, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
_STRUCTURES = re.compile(
    rb"\xff[\xc0-\xfe]|IHDR|PLTE|IDAT|tRNS|iCCP|eXIf|acTL|fcTL|fdAT|IEND|RIFF|VP8[ LX]|ALPH|ANIM"
    rb"|ANMF|ICCP|EXIF|GIF8|\x21[\xf9\xfe\xff]|\x2c|II[*+]\0|MM\0[*+]|ftyp|meta|pitm|iinf|infe"
    rb"|iloc|iprp|ipco|ipma|ispe|av1C|hvcC|pixi|irot|imir|colr|mdat|[\x0a\x32][\x04-\x20]"
)
"""The beginnings of markers, chunks and blocks."""
_SIGNATURE_BYTES = 4
_HEAD_BYTES = 64
_FIELDS_BYTES = 24
"""Fields stand in that many bytes from the beginning of a structure."""
_VALID_CHECKSUMS = 0.7
"""The share of PNG mutants whose checksums are made valid: others are refused early."""


@dataclass(frozen=True)
class Mutant:
    """A damaged file."""

    file: str
    """The name of the seed file."""
    kinds: tuple[str, ...]
    """The kinds of damage, in order."""
    data: bytes


def seed_files(pixels: int = 4096) -> dict[str, bytes]:
    """Return files of every format, mode and shape, and some with colour profile and EXIF.

    Args:
        pixels: about how many each has.
    """
    made = {name: make() for name, make in cases(pixels)}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"
    side = int(pixels**0.5)
    options: dict[str, Any] = {"icc_profile": profile, "exif": exif}
    for format in ("JPEG", "PNG", "WEBP", "AVIF"):
        name = f"{format.lower()} with profile and EXIF"
        made[name] = pillow(format, "RGB", (side, side), **options)
    made["png animated"] = _animated_png(side)
    return made


def _animated_png(side: int) -> bytes:
    file = BytesIO()
    frames = [image((side, side), "RGB").rotate(90)]
    image((side, side), "RGB").save(file, "PNG", save_all=True, append_images=frames)
    return file.getvalue()


def mutant(files: Mapping[str, bytes], seed: int, number: int) -> Mutant:
    """Return mutant `number`; the same arguments give the same one.

    The seed files take turns, so every one is damaged after as many numbers as there are files.
    """
    rng = random.Random(f"{seed} {number}")
    names = list(files)
    name = names[number % len(names)]
    data = bytearray(files[name])
    kinds = rng.choices(list(KINDS), k=rng.choice((1, 1, 1, 1, 2, 3)))
    for kind in kinds:
        KINDS[kind](data, files[rng.choice(_relatives(names, name))], rng)
    if data.startswith(b"\x89PNG") and rng.random() < _VALID_CHECKSUMS:
        _write_checksums(data)
    return Mutant(name, tuple(kinds), bytes(data))


def _relatives(names: Sequence[str], name: str) -> list[str]:
    """Return the names of the files of the same format."""
    format = name.split(" ", 1)[0]
    return [other for other in names if other.startswith(f"{format} ")]


def _flip(data: bytearray, _: bytes, rng: random.Random) -> None:
    for _count in range(min(len(data), rng.choice((1, 1, 2, 5, 20)))):
        offset = rng.randrange(min(len(data), rng.choice((_HEAD_BYTES, 400, len(data), len(data)))))
        data[offset] ^= rng.choice((1, 2, 4, 8, 16, 32, 64, 128, 255))


def _truncate(data: bytearray, _: bytes, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _splice(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Continue with the rest of another file of the format."""
    data[_structure(data, rng) :] = other[_structure(other, rng) :]


def _remove(data: bytearray, _: bytes, rng: random.Random) -> None:
    first, last = sorted((_structure(data, rng), _structure(data, rng)))
    if first == last:
        last += rng.randrange(1, 40)
    del data[first:last]


def _insert(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Insert noise, or a part of this or another file, once or many times."""
    source = rng.choice((bytes(data), other, rng.randbytes(200), bytes(200), b"\xff" * 200))
    first, last = sorted((_structure(source, rng), _structure(source, rng)))
    block = source[first : last or 50] * rng.choice((1, 1, 2, 50))
    at = _structure(data, rng)
    data[at:at] = block[: 1 << 18]


def _extreme(data: bytearray, _: bytes, rng: random.Random) -> None:
    """Set a field near the beginning of a structure, or of the file, to an extreme."""
    for _count in range(rng.choice((1, 1, 2, 4))):
        at = _structure(data, rng) if rng.random() < 0.7 else 0  # noqa: PLR2004
        at += rng.randrange(_FIELDS_BYTES)
        code, values = rng.choice((("B", _EXTREMES), ("H", _EXTREMES), ("I", _WIDE_EXTREMES)))
        value = rng.choice(values) & (0xFF if code == "B" else 0xFFFFFFFF)
        field = struct.pack(rng.choice("<>") + code, value)
        if at + len(field) <= len(data):
            data[at : at + len(field)] = field


def _structure(data: bytes | bytearray, rng: random.Random) -> int:
    """Return the offset of a marker, chunk or block, and sometimes any offset.

    The first bytes stay, mostly: without them a file is not an image, and nothing is decoded.
    """
    starts = [match.start() for match in _STRUCTURES.finditer(data, _SIGNATURE_BYTES, 1 << 16)]
    if not starts or rng.random() < 0.2:  # noqa: PLR2004
        return rng.randrange(
            min(len(data), rng.choice((0, *[_SIGNATURE_BYTES] * 9))), len(data) + 1
        )
    return rng.choice(starts)


def _write_checksums(data: bytearray) -> None:
    """Make the checksum of every chunk of a PNG valid."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            return
        struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4


KINDS: dict[str, Callable[[bytearray, bytes, random.Random], None]] = {
    "flipped": _flip,
    "truncated": _truncate,
    "spliced": _splice,
    "block removed": _remove,
    "block inserted": _insert,
    "extreme field": _extreme,
}
