"""The limits of bodies that go to the disk, beyond those of requests."""

from dataclasses import dataclass

from app.zip_directory import ZipLimits


@dataclass(frozen=True)
class UploadTimes:
    """The time limits of a body that goes to a file."""

    whole_s: float
    pause_s: float
    """The longest time without data."""


@dataclass(frozen=True)
class UploadLimits:
    """The limits of uploads."""

    times: UploadTimes
    max_bytes: int
    """Of a zip, or a model."""
    zip: ZipLimits
