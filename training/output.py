"""Where a bundle may be written to."""

from pathlib import Path

from app import bundle as bundles
from training.errors import DataUnusable


def require_free(output: Path, *read: Path) -> None:
    """Only a bundle is ever replaced.

    Raises:
        DataUnusable: something else is at `output`, or it lies in a folder that is read.
    """
    taken = output.exists() and (not output.is_dir() or any(output.iterdir()))
    if taken and not (output / bundles.MANIFEST).is_file():
        raise DataUnusable(
            f"{output} is there already and is no bundle. Name a new folder for --output."
        )
    for folder in read:
        inside, outside = output.resolve(), folder.resolve()
        if inside.is_relative_to(outside) or outside.is_relative_to(inside):
            raise DataUnusable(
                f"{output} and {folder} lie in one another. Name an --output outside the photos."
            )
