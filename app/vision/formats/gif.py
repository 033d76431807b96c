"""Decode the first frame of a GIF.

bytes -> sizes of the screen and the first frame -> pixel limit -> pixels of that frame
"""

import math
import struct
from io import BytesIO

from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from app.errors import BrokenImage
from app.vision.canvas import CANVAS
from app.vision.formats.base import (
    DecodedImage,
    OpenedFile,
    check_size,
    decoder_errors,
    within_pillow,
)
from app.vision.picture import Limits
from app.vision.work import Work

_EXTENSION, _FRAME, _END = 0x21, 0x2C, 0x3B
_CONTROL = b"\x21\xf9"
"""The first bytes of the extension that holds the transparency of the frame after it."""
_MAX_BLOCKS = 100_000
"""Maximum number of blocks in the extensions before the frame; each holds up to 255 bytes."""


class OpenedGif(OpenedFile):
    """A GIF whose first frame was found; decoded, it is L, LA, RGB or RGBA."""

    def __init__(
        self, data: bytes, size: tuple[int, int], frame: tuple[int, int, int, int]
    ) -> None:
        self._data = data
        self._size = size
        self._frame = frame
        pixels = math.prod(size)
        self.work = Work(12 * pixels, 2 * pixels / CANVAS**2)

    def load(self) -> DecodedImage:
        """Decode the first frame; the image is transparent where the frame leaves the screen."""
        size, frame = self._size, self._frame
        with decoder_errors("gif"):
            file = GifImageFile(BytesIO(self._data))
            file.load()
            transparent = "transparency" in file.info
            grey = file.mode == "L"
            if frame == (0, 0, *size):
                image = file.convert(
                    ("LA" if grey else "RGBA") if transparent else "L" if grey else "RGB"
                )
            else:
                image = Image.new("RGBA", size)
                image.paste(file.crop(frame).convert("RGBA"), frame[:2])
        return DecodedImage(image, size)


def open_gif(data: bytes, limits: Limits) -> OpenedGif:
    """Find the first frame of a GIF."""
    with decoder_errors("gif"):
        screen, frame, needed_bytes = _first_frame(data)
    size = max(screen[0], frame[2]), max(screen[1], frame[3])
    check_size("gif", size, within_pillow(limits))
    return OpenedGif(needed_bytes, size, frame)


def _first_frame(data: bytes) -> tuple[tuple[int, int], tuple[int, int, int, int], bytes]:
    """Return the screen's size, the first frame's box, and the file without comments.

    Pillow is not used: it may allocate the frame when it opens the file, and it keeps every block
    of a comment.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    offset = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    kept = [data[:offset]]
    blocks = 0
    while data[offset] != _END:
        if data[offset] == _FRAME:
            x, y, across, down = struct.unpack_from("<HHHH", data, offset + 1)
            return (width, height), (x, y, x + across, y + down), b"".join([*kept, data[offset:]])
        begin = offset
        if data[offset] == _EXTENSION:
            offset += 1
            while length := data[offset + 1]:
                offset += 1 + length
                blocks += 1
                if blocks > _MAX_BLOCKS:
                    raise BrokenImage(
                        "The GIF has too many blocks before its picture. Save it anew."
                    )
            offset += 1
        offset += 1
        if data[begin : begin + 2] == _CONTROL:
            kept.append(data[begin:offset])
    raise BrokenImage("The GIF holds no picture. Save it anew.")
