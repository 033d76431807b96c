"""The file photos.csv of a bundle: which photos training used, by the first digits of their sha256.

    sha256,part
    1f0c2d3e4b5a6978,train

It tells whether a photo is new to a model, and keeps test photos in the test part when the model is
trained again. A photo can't be made from it. Bundles that weren't trained by Hubel, or by an older
version of it, have none.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from app.bundle.folder import Bundle
from app.errors import BundleInvalid

PHOTO_RECORD = "photos.csv"
DIGITS = 16
"""Hexadecimal digits of a sha256 that are recorded; two of a million photos agree by a chance of
one in 10 million."""
RecordedPart = Literal["train", "val", "test", "backbone"]
"""backbone: only the network below the last layer learnt from the photo."""
_HEADER = ["sha256", "part"]


def photo_record(bundle: Bundle) -> Mapping[str, RecordedPart] | None:
    """Return the part of each photo by the first digits of its sha256; None without a record.

    Raises:
        BundleInvalid: the file can't be read.
    """
    if PHOTO_RECORD not in bundle.manifest.files:
        return None
    file = bundle.path(PHOTO_RECORD)
    known: Mapping[str, RecordedPart] = {part: part for part in get_args(RecordedPart)}
    try:
        with file.open(encoding="ascii", newline="") as table:
            header, *rows = csv.reader(table)
        if header != _HEADER:
            raise ValueError(f"its header is {','.join(header)}")
        return {digits: known[part] for digits, part in rows}
    except OSError as err:
        raise BundleInvalid(
            f"{file} can't be read ({err.strerror}). Copy the bundle again."
        ) from err
    except (ValueError, KeyError) as err:
        raise BundleInvalid(
            f"{file} is no record of photos ({err}). Copy the bundle again."
        ) from err


def write_photo_record(parts: Mapping[str, RecordedPart], folder: Path) -> None:
    """Write the record into a bundle's folder, sorted, so that it doesn't show any order.

    Args:
        parts: the part of each photo by its sha256.
        folder: the folder that becomes the bundle.
    """
    with (folder / PHOTO_RECORD).open("w", encoding="ascii", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows(sorted((sha256[:DIGITS], part) for sha256, part in parts.items()))
