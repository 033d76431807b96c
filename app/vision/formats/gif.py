"""Decode the first frame of a GIF.

bytes -> sizes of the screen and the first frame -> pixel limit -> pixels of that frame
"""

import math
import struct
from dataclasses import dataclass
from io import BytesIO

from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from app.errors import BrokenImage
from app.vision.formats.base import (
    DecodedImage,
    OpenedFile,
    check_size,
    decoder_errors,
    within_pillow,
)
from app.vision.picture import Limits
from app.vision.work import Work, estimate, raster_bytes

_EXTENSION, _FRAME, _END = 0x21, 0x2C, 0x3B
_CONTROL = b"\x21\xf9"
"""The first bytes of the extension that holds the transparency of the frame after it."""
_GREYS = bytes(level for level in range(256) for _ in "RGB")
"""The palette of a grey image."""
_TRANSPARENT = 1
"""The bit of that extension's fourth byte that says whether a colour is transparent."""
_MAX_BLOCKS = 100_000
"""Maximum number of blocks in the extensions before the frame; each holds up to 255 bytes."""


@dataclass(frozen=True, eq=False)
class _FirstFrame:
    """The first frame of a file, not decoded."""

    size: tuple[int, int]
    """Width and height of the screen and the frame together."""
    box: tuple[int, int, int, int]
    """Left, top, right and bottom edge of the frame."""
    is_transparent: bool
    """Whether a colour of the palette stands for transparency."""
    is_grey: bool
    """Whether its indices are levels of grey; it is then of mode L."""
    data: bytes
    """The file without its comments."""


class OpenedGif(OpenedFile):
    """A GIF whose first frame was found; decoded, it is L, LA, RGB or RGBA."""

    def __init__(self, first: _FirstFrame) -> None:
        self._first = first
        self.work = _estimate(first)

    def load(self) -> DecodedImage:
        """Decode the first frame; the image is transparent where the frame leaves the screen."""
        size, frame = self._first.size, self._first.box
        with decoder_errors("gif", self.work):
            file = GifImageFile(BytesIO(self._first.data))
            file.load()
            transparent = "transparency" in file.info
            grey = file.mode == "L"
            if frame == (0, 0, *size):
                mode = ("LA" if grey else "RGBA") if transparent else "L" if grey else "RGB"
                image = file if file.mode == mode else file.convert(mode)
            else:
                image = Image.new("RGBA", size)
                image.paste(file.crop(frame).convert("RGBA"), frame[:2])
        return DecodedImage(image, size)


def open_gif(data: bytes, limits: Limits) -> OpenedGif:
    """Find the first frame of a GIF."""
    with decoder_errors("gif"):
        first = _first_frame(data)
    check_size("gif", first.size, within_pillow(limits))
    return OpenedGif(first)


def _estimate(first: _FirstFrame) -> Work:
    size, pixels = first.size, math.prod(first.size)
    left, top, right, bottom = first.box
    frame_size = right - left, bottom - top
    is_whole = first.box == (0, 0, *size)
    mode = ("L" if first.is_grey else "RGB") + "A" * first.is_transparent if is_whole else "RGBA"
    frame_bytes = raster_bytes("P", frame_size)
    load_bytes = frame_bytes + raster_bytes(mode, size) * (mode != "L")
    if not is_whole:
        load_bytes += frame_bytes + raster_bytes("RGBA", frame_size)
    return estimate(
        load_bytes=load_bytes + len(first.data),
        mode=mode,
        size=size,
        may_turn=False,
        cost=0.5 + (4 + 2 * first.is_transparent) * 1e-6 * pixels + 2e-6 * len(first.data),
    )


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _first_frame(data: bytes) -> _FirstFrame:
    """Return the first frame, and the file without comments.

    Pillow is not used: it may allocate the frame when it opens the file, and it keeps every block
    of a comment.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    offset = 13 + _palette_bytes(flags)
    palette = data[13:offset]
    kept = [data[:offset]]
    blocks = 0
    while data[offset] != _END:
        if data[offset] == _FRAME:
            x, y, across, down = struct.unpack_from("<HHHH", data, offset + 1)
            right, bottom = x + across, y + down
            local_bytes = _palette_bytes(data[offset + 9])
            palette = data[offset + 10 : offset + 10 + local_bytes] or palette
            return _FirstFrame(
                size=(max(width, right), max(height, bottom)),
                box=(x, y, right, bottom),
                is_transparent=any(
                    int.from_bytes(control[3:4], "big") & _TRANSPARENT for control in kept[1:]
                ),
                is_grey=_GREYS.startswith(palette),
                data=b"".join([*kept, data[offset:]]),
            )
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
