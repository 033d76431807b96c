"""The files of the captures: `photos/ab/abcd….jpeg`, named by the SHA-256 of their content."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from app.durable_files import write_file

_FOLDER = "photos"
_PREFIX_LENGTH, _NAME_LENGTH = 2, 64
"""Characters of a folder's name, and of a file's name before its first dot."""
_BESIDE = ".new"
"""The end of a file's name until it is complete."""


class PhotoFiles:
    """The files in a folder.

    Args:
        folder: the folder of the captures; `photos` in it is made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _FOLDER
        self._folder.mkdir(exist_ok=True)

    def path(self, sha256: str, format: str) -> Path:
        """Return where a photo is, or would be."""
        return self._folder / sha256[:_PREFIX_LENGTH] / f"{sha256}.{format}"

    def write(self, data: bytes, sha256: str, format: str) -> None:
        """Write a photo beside its place, then rename it; once this returns it is on the disk.

        Raises:
            OSError: it can't be written; nothing is left of it.
        """
        target = self.path(sha256, format)
        target.parent.mkdir(exist_ok=True)
        write_file(target, data, beside=target.with_name(target.name + _BESIDE))

    def remove(self, sha256: str, format: str) -> None:
        """Remove a photo; one that is gone already is no error."""
        self.path(sha256, format).unlink(missing_ok=True)

    def remove_all_but(self, known: Iterable[str]) -> int:
        """Remove the files of no photo in `known`, and unfinished ones; return their number.

        Args:
            known: the file names that stay.
        """
        stay = set(known)
        removed = 0
        for path in self._all():
            if path.name not in stay:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def names(self) -> set[str]:
        """Return the names of all complete files."""
        return {path.name for path in self._all() if not path.name.endswith(_BESIDE)}

    def _all(self) -> Iterator[Path]:
        """Yield the files that are named as this class names them, and no others."""
        for part in self._folder.iterdir():
            if part.is_symlink() or not part.is_dir() or len(part.name) != _PREFIX_LENGTH:
                continue
            for path in part.iterdir():
                if path.is_file() and len(path.name.partition(".")[0]) == _NAME_LENGTH:
                    yield path
