"""Check a photo before it is kept: header and limits; then its metadata are removed."""

import time
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from app.dataset_store.names import id_of
from app.errors import QueueFull
from app.memory_budget import MemoryBudget
from app.vision.decode import read_header
from app.vision.formats.exif import read_orientation
from app.vision.metadata import without_metadata
from app.vision.orientation import upright_size
from app.vision.picture import Format, Limits

_WAIT_S = 5.0
_LOOK_S = 0.1


@dataclass(frozen=True)
class CheckedPhoto:
    """A photo as it is kept."""

    id: str
    data: bytes
    format: Format
    size: tuple[int, int]
    """Width and height as displayed, in pixels."""


@dataclass(frozen=True)
class PhotoCheck:
    """The limits of photos, those of requests.

    Args:
        limits: the largest file and image.
        memory: what decoding takes its bytes from.
        keeps_metadata: whether files stay as they were sent.
    """

    limits: Limits
    memory: MemoryBudget
    keeps_metadata: bool

    def __call__(self, data: bytes) -> CheckedPhoto:
        """Return the photo in `data`; no pixel is decoded, unless its format hides metadata.

        Raises:
            InputError: it is no photo, or beyond the limits.
            QueueFull: there is no memory for it now.
        """
        format = read_header(data, self.limits).format
        if not self.keeps_metadata:
            data, format = self._without_metadata(data)
        return CheckedPhoto(id_of(data), data, format, displayed_size(data, self.limits))

    def _without_metadata(self, data: bytes) -> tuple[bytes, Format]:
        """Return a photo without metadata; wait a little for memory, on a thread that may."""
        until = time.monotonic() + _WAIT_S
        while True:
            try:
                return without_metadata(data, self.limits, self.memory)
            except QueueFull:
                if time.monotonic() > until:
                    raise
                time.sleep(_LOOK_S)


def displayed_size(data: bytes, limits: Limits) -> tuple[int, int]:
    """Return width and height of a photo as displayed, by its header.

    Raises:
        InputError: it is no photo, or beyond the limits.
    """
    opened = read_header(data, limits)
    try:
        with Image.open(BytesIO(data)) as file:
            return upright_size(file.size, read_orientation(file.info.get("exif")))
    except (OSError, ValueError, SyntaxError):  # a format that Pillow alone doesn't read
        return opened.work.size
