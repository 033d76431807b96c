"""GIF -> `Raw`: screen and first frame -> limits -> the first frame, as if on white paper."""

import math
import struct
from io import BytesIO

from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from app.errors import BrokenImage
from app.vision.decode_budget import BYTES_PER_PIXEL, Turn
from app.vision.formats.base import Raw, check_pixels, pillow_limit, reading
from app.vision.picture import Limits

_EXTENSION, _FRAME, _END = 0x21, 0x2C, 0x3B
_CONTROL = b"\x21\xf9"
"""Transparency of the frame that follows."""
_MAX_BLOCKS = 100_000
"""In extensions; each holds up to 255 bytes."""


def read(data: bytes, limits: Limits, turn: Turn) -> Raw:
    """Decode the first frame of a GIF; the image is L, LA, RGB or RGBA.

    Where the frame leaves the screen uncovered, the image is transparent.
    """
    with reading("gif"):
        screen, frame, needed = _first_frame(data)
    left, top, right, bottom = frame
    size = max(screen[0], right), max(screen[1], bottom)
    check_pixels("gif", size, pillow_limit(limits))
    turn.take(BYTES_PER_PIXEL * math.prod(size))
    with reading("gif"):
        file = GifImageFile(BytesIO(needed))
        file.load()
        transparent = "transparency" in file.info
        grey = file.mode == "L"
        if frame == (0, 0, *size):
            image = file.convert(
                ("LA" if grey else "RGBA") if transparent else "L" if grey else "RGB"
            )
        else:
            image = Image.new("RGBA", size)
            image.paste(file.crop(frame).convert("RGBA"), (left, top))
    return Raw(image, size)


def _first_frame(data: bytes) -> tuple[tuple[int, int], tuple[int, int, int, int], bytes]:
    """Size of the screen; left, top, right, bottom of the first frame; the file without comments.

    Pillow may allocate the frame as soon as it opens a file, and keeps every block of a comment.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    kept = [data[:at]]
    blocks = 0
    while data[at] != _END:
        if data[at] == _FRAME:
            x, y, across, down = struct.unpack_from("<HHHH", data, at + 1)
            return (width, height), (x, y, x + across, y + down), b"".join([*kept, data[at:]])
        begin = at
        if data[at] == _EXTENSION:
            at += 1
            while length := data[at + 1]:
                at += 1 + length
                blocks += 1
                if blocks > _MAX_BLOCKS:
                    raise BrokenImage(
                        "The GIF has too many blocks before its picture. Save it anew."
                    )
            at += 1
        at += 1
        if data[begin : begin + 2] == _CONTROL:
            kept.append(data[begin:at])
    raise BrokenImage("The GIF holds no picture. Save it anew.")
