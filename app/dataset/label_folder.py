"""Labels that a folder of photos can say by its name."""

from app.dataset.split_names import part_named

PHOTOS = "photos"
"""The folder of photos whose labels only labels.csv has."""
_MAX_FOLDER_BYTES = 255


def is_folder(label: str) -> bool:
    """Return whether a folder of this name says the label, also to training."""
    if set(label) & {"/", "\\"} or label.startswith(".") or len(label.encode()) > _MAX_FOLDER_BYTES:
        return False
    return bool(label) and label.casefold() != PHOTOS and part_named(label) is None
