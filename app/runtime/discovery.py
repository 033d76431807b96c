"""The search for bundle folders, before anything in them is loaded.

model roots -> <name>/ and <name>/<version>/ that hold a bundle.json -> app.runtime.registry
"""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from app import bundle as bundles
from app.errors import BadParameter, BundleError

BUILT_IN_MODELS = Path(__file__).resolve().parents[2] / "model"
"""The folder with the default model, imagenet."""

log = logging.getLogger(__name__)


def model_roots(models: Path | None) -> list[Path]:
    """Return the folders to search: the user's, if there is one, then the built-in one.

    Raises:
        BadParameter: one of them can't be read.
    """
    roots = [models, BUILT_IN_MODELS] if models else [BUILT_IN_MODELS]
    for root in roots:
        _check_readable(root)
    return roots


def _check_readable(root: Path) -> None:
    try:
        os.scandir(root).close()
    except OSError as err:
        raise BadParameter(
            f"The models in {root} can't be read ({err.strerror}). Let this user read that "
            "folder, or name another --models."
        ) from err


def discover(roots: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders below `roots` that hold a bundle.json, in order.

    A folder that can't be read, such as a volume's lost+found, is skipped.
    """
    for root in roots:
        for folder in _subfolders(root):
            try:
                if (folder / bundles.MANIFEST).is_file():
                    yield folder
                else:
                    yield from (
                        version
                        for version in _subfolders(folder)
                        if (version / bundles.MANIFEST).is_file()
                    )
            except OSError as err:
                log.warning("%s is skipped: %s", folder, err.strerror)


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    except OSError as err:
        log.warning("%s is skipped: %s", folder, err.strerror)
        return []


def is_gone(folder: Path) -> bool:
    """Return whether `folder` holds no bundle any more; False if it can't be read just now."""
    try:
        (folder / bundles.MANIFEST).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def identity(folder: Path) -> tuple[str, int | None]:
    """Return name and version of the bundle in `folder`.

    They come from bundle.json. If that can't be read, the name is the folder's and the version
    None.
    """
    try:
        manifest = bundles.load(folder).manifest
    except BundleError:
        return (folder.parent.name if folder.name.isdigit() else folder.name), None
    return manifest.name, manifest.version
