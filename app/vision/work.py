"""The work that decoding a photo takes, estimated from its header."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """An estimate of memory and time, made before any pixel is decoded."""

    memory_bytes: int
    """The most memory in use at one time, from the header to the resized pixels: a worst case of
    this format, mode and size. The bytes of the file itself are not included."""
    cost: float
    """Expected CPU time, as a multiple of that of a plain JPEG of 480 x 480."""
