"""The content of the model store: the files below its address, and which of them are bundles.

A key that is no path, such as `pets//model.onnx`, makes a list of all keys impossible. Then the
folders are listed one by one, so that such a key hides its own folder alone.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from app import bundle as bundles

_DEPTHS = (2, 3)
"""The number of parts in the path of a bundle.json: with and without a folder for the version."""
_MAX_DEPTH = 6
"""Folders below the address that are listed one by one; a bundle's own are at most four deep."""


@dataclass
class Listing:
    """The files below an address, by their names relative to it."""

    tags: dict[str, str] = field(default_factory=dict)
    """A tag of each file that changes with its content."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Folders that can't be listed, with the reason."""


def list_files(filesystem: Any, root: str) -> Listing:
    """Return the files below `root`, without those in folders that can't be listed.

    Raises:
        Exception: the store can't be read; each file system has exceptions of its own.
    """
    try:
        entries = filesystem.find(root, detail=True).values()
    except Exception as err:
        if not _is_of_a_key(err):
            raise
        listing = Listing()
        _walk(filesystem, root, root, listing, _MAX_DEPTH)
        return listing
    return Listing({_relative(entry, root): _tag(entry) for entry in entries})


def _walk(filesystem: Any, root: str, folder: str, listing: Listing, depth: int) -> None:
    try:
        entries = filesystem.ls(folder, detail=True)
    except Exception as err:
        if folder == root or not _is_of_a_key(err):
            raise
        listing.unreadable[folder.removeprefix(f"{root}/")] = str(err).partition("\n")[0]
        return
    for entry in entries:
        if entry["type"] != "directory":
            listing.tags[_relative(entry, root)] = _tag(entry)
        elif depth:
            _walk(filesystem, root, entry["name"], listing, depth - 1)


def _is_of_a_key(err: Exception) -> bool:
    """Return whether a list failed by the name of a key, not by the connection."""
    return type(err).__name__ == "InvalidPathError"


def _relative(entry: Mapping[str, Any], root: str) -> str:
    name: str = entry["name"]
    return name.removeprefix(f"{root}/")


def files_of_bundles(names: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the files of each folder with a bundle.json, which may lie in folders below it."""
    parts = {name: PurePosixPath(name).parts for name in names}
    folders = {
        path[:-1]
        for path in parts.values()
        if path[-1] == bundles.MANIFEST and len(path) in _DEPTHS
    }
    files = defaultdict(list)
    for name, path in parts.items():
        if ".." in path or name.startswith("/") or any(part.startswith(".") for part in path[:2]):
            continue
        # an object with the name of a folder is how consoles make folders
        above = [path[:depth] for depth in (2, 1) if path[:depth] in folders and path[depth:]]
        if above and path not in folders:
            files["/".join(above[0])].append(name)
    return files


def _tag(entry: Mapping[str, Any]) -> str:
    """Return what changes with a file's content: its entity tag, and its size."""
    return f"{entry.get('e_tag')} {entry['size']}"
