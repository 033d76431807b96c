"""photos.csv of a bundle: the photos of a training run, by their sha256 and their part."""

from collections.abc import Collection
from pathlib import Path

from app.bundle.photo_record import DIGITS, RecordedPart, write_photo_record
from training.data.examples import Examples
from training.data.layout import PARTS


def write(examples: Examples, backbone_photos: Collection[str], folder: Path) -> None:
    """Write the record into the bundle's folder.

    A photo of which a copy is in another part counts for train, else for val: it was learnt from.

    Args:
        examples: the photos and their split.
        backbone_photos: the recorded photos that the backbone's layers learnt from.
        folder: the folder that becomes the bundle.
    """
    parts: dict[str, RecordedPart] = dict.fromkeys(backbone_photos, "backbone")
    for part in reversed(PARTS):
        chosen = examples.indices_of(part).tolist()
        parts |= {
            digits: part
            for index in chosen
            if parts.get(digits := examples.photos[index].sha256[:DIGITS]) != "backbone"
        }
    write_photo_record(parts, folder)
