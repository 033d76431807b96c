"""Compare the version of a new bundle with the other versions of the model beside it.

models/pets/bundle.json      a flat bundle
models/pets/2/bundle.json    another version of the same model
"""

from collections.abc import Iterator
from pathlib import Path

from app import bundle as bundles
from app.bundle import Bundle
from app.errors import BundleError
from training.errors import DataUnusable


def require_unused(output: Path, name: str, version: int) -> None:
    """Reject a version that another folder of the model has already.

    Raises:
        DataUnusable: there is such a folder.
    """
    others = dict(_others(output, name))
    if version in others:
        raise DataUnusable(
            f"{others[version]} is already version {version} of {name}. "
            f"Choose another, such as --version {max(others) + 1}."
        )


def summary(bundle: Bundle) -> str:
    """Return a line with name and version, and the highest other version where that is higher."""
    name, version = bundle.manifest.name, bundle.manifest.version
    highest, folder = max(_others(bundle.folder, name), default=(0, bundle.folder))
    if highest < version:
        return f"made {name} version {version}"
    return f"made {name} version {version}; {folder} is version {highest}, and the highest serves"


def _others(output: Path, name: str) -> Iterator[tuple[int, Path]]:
    """Yield version and folder of each other bundle of the model."""
    if output.name.isdigit():
        folders = [output.parent, *_numbered(output.parent)]
    else:
        folders = list(_numbered(output))
    for folder in folders:
        if folder != output and (folder / bundles.MANIFEST).is_file():
            try:
                manifest = bundles.load(folder).manifest
            except BundleError:
                continue
            if manifest.name == name:
                yield manifest.version, folder


def _numbered(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (entry for entry in folder.iterdir() if entry.name.isdigit())
