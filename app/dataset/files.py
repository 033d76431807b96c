"""List the files below a folder: each once, whatever links it has.

folder -> files, also broken links and files that can't be read: whoever reads them gets the error
       -> folders inside it
       -> skipped, each with a reason: links back to a folder, pipes and devices
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import NotAnImage, UnsupportedFormat
from app.vision.sniff import sniff

SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".avif",
        ".heic",
        ".heif",
    }
)
"""A file with one of these suffixes counts as a photo; any other one by its first bytes."""
_HEAD_BYTES = 256

Identity = tuple[int, int]


@dataclass
class Listing:
    """The content of a folder, in the order of its names."""

    files: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    """Path and reason of each entry that is neither a file nor a folder to read."""


def visible(folder: Path) -> list[Path]:
    """Return the entries of a folder without the hidden ones, sorted."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def list_below(folder: Path, above: tuple[Path, ...] = ()) -> Listing:
    """Return everything below `folder`, except hidden files and folders.

    A folder is read once, by device and inode, however many links lead to it. A folder that can't
    be read counts as a file, so that reading it gives the error.

    Args:
        folder: the folder.
        above: more folders that a link must not lead back to.
    """
    listing = Listing()
    seen = {identity for path in (*above, folder) if (identity := _identity(path))}
    _walk(folder, seen, listing)
    return listing


def is_photo(path: Path) -> bool:
    """Return whether a file counts as a photo: by its suffix, or by its first bytes.

    A file that can't be read counts as one, and so does an image in a format that isn't read.
    """
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            sniff(file.read(_HEAD_BYTES))
    except NotAnImage:
        return False
    except (OSError, UnsupportedFormat):
        return True
    return True


def _walk(folder: Path, seen: set[Identity], listing: Listing) -> None:
    try:
        entries = visible(folder)
    except OSError:
        listing.files.append(folder)
        return
    for entry in entries:
        try:
            status = entry.stat()
        except OSError:  # a broken link, or a cycle of links
            listing.files.append(entry)
            continue
        identity = (status.st_dev, status.st_ino)
        if stat.S_ISREG(status.st_mode):
            listing.files.append(entry)
        elif not stat.S_ISDIR(status.st_mode):
            listing.skipped.append((entry, "it is no regular file"))
        elif identity in seen:
            listing.skipped.append((entry, "it leads to a folder that is read already"))
        else:
            seen.add(identity)
            listing.folders.append(entry)
            _walk(entry, seen, listing)


def _identity(path: Path) -> Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
