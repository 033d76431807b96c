"""Count the photos of an evaluation that the model learnt from, by the record in its bundle."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from app.bundle import Bundle
from app.bundle.photo_record import DIGITS, photo_record


def learnt_photos(bundle: Bundle, photos: Iterable[Path]) -> int | None:
    """Return the number of `photos` that training used, other than as test photos.

    Args:
        bundle: the bundle that is measured.
        photos: the files; one that can't be read any more is not counted.

    Returns:
        None if the bundle has no record of its photos.

    Raises:
        BundleInvalid: the record can't be read.
    """
    record = photo_record(bundle)
    if record is None:
        return None
    return sum(record.get(_digits(path), "test") != "test" for path in photos)


def _digits(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
    except OSError:
        return ""
