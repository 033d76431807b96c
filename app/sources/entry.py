"""The contract of sources and their readers: a photo that isn't read yet, or what is skipped."""

from collections.abc import Callable
from dataclasses import dataclass

from app.errors import HubelError, NotAnImage, TooManyBytes, UnsupportedFormat
from app.vision.sniff import sniff

HEAD_BYTES = 256
"""Bytes of a file that tell whether it is an image."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that isn't read yet."""

    path: str
    """Its name in the rows: a path, an address, or `shard.tar/member`."""
    read: Callable[[], bytes]
    """Returns its bytes, on any thread; raises HubelError where it can't be read."""
    size: int | None = None
    """Bytes of the file; None: not known before it is read."""
    is_remote: bool = False
    """Whether `read` waits for a network."""
    may_be_other: bool = False
    """Whether only its bytes tell if it is a photo; otherwise it is skipped."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is no photo, an entry that is no file, or what is named twice."""

    path: str
    reason: str
    is_repeat: bool = False
    """Whether it is read elsewhere; otherwise it is no photo."""


Entry = Photo | Skipped


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How the photos of shards are read."""

    max_bytes: int
    """Largest photo, in bytes; a larger one is not read."""
    image_column: str | None = None
    """The column of Parquet files with the photos or their paths; None: it is found."""


def failed_photo(path: str, error: HubelError, size: int | None = None) -> Photo:
    """Return a photo that can't be read."""

    def fail() -> bytes:
        raise error

    return Photo(path, fail, size)


def require_size(size: int, max_bytes: int) -> None:
    """Reject a photo by its size.

    Raises:
        TooManyBytes: it is larger than `max_bytes`.
    """
    if size > max_bytes:
        raise TooManyBytes(
            f"The file has {size:,} bytes; the limit is {max_bytes:,}. Use a smaller photo, or "
            "raise HUBEL_MAX_IMAGE_BYTES."
        )


def is_image(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of an image, also one that isn't read."""
    try:
        sniff(head)
    except UnsupportedFormat:
        return True
    except NotAnImage:
        return False
    return True
