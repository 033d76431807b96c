"""Labels that a folder of photos can say by its name."""

from app.dataset.label_table import TABLES
from app.dataset.split_names import part_named

PHOTOS = "photos"
"""The folder of photos whose labels only labels.csv has."""
_MAX_FOLDER_BYTES = 255


def is_folder(label: str) -> bool:
    """Return whether a folder of this name says the label, also to training."""
    if set(label) & {"/", "\\"} or label.startswith(".") or len(label.encode()) > _MAX_FOLDER_BYTES:
        return False
    is_other = label.casefold() in (PHOTOS, *TABLES) or part_named(label) is not None
    return bool(label) and not is_other
