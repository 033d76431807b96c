"""The file that a command writes: checked before any work, written beside its place, then renamed.

require_safe_output: no input of the command, no photo, no folder
require_other_file: --skipped isn't the file or in the folder of --output
refuse_listed: no file that a source lists
replace_when_complete: a temporary file beside it -> the file, or nothing
"""

import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.errors import BadParameter, NotAnImage, UnsupportedFormat
from app.sources.local_files import Found
from app.vision.sniff import sniff

_HEAD_BYTES = 64
"""Bytes of a file that tell its format."""


def require_safe_output(
    output: Path | None, inputs: Iterable[Path], option: str = "--output"
) -> None:
    """Reject an output that would replace what the command reads, or any photo.

    Links are followed, and a hard link to an input counts as the input.

    Args:
        output: the file to write; None: standard output.
        inputs: the files and folders that are read.
        option: the option that names the file.

    Raises:
        BadParameter: `output` is an input or another photo, or no file can be written there.
    """
    if output is None:
        return
    target = _target(output, option)
    if target.exists():
        identity = identity_of(target)
        if any(identity_of(path) == identity for path in inputs):
            raise is_input(output, option)
        if not target.is_file():
            return
        if _is_photo(target):
            raise BadParameter(
                f"{output} is an image or a document, and {option} would replace it. "
                f"Name another {option}."
            )
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise BadParameter(f"Nothing can be written to {target.parent}. Name another {option}.")


def require_other_file(skipped: Path | None, output: Path | None) -> None:
    """Reject a list of skipped files that would replace the results, or lie in their folder.

    Links are followed. Both may go to one pipe or device, where nothing is replaced.

    Args:
        skipped: the file of --skipped; None: no list is written.
        output: the file or folder of the results; None: standard output.

    Raises:
        BadParameter: `skipped` is `output`, or lies in it.
    """
    results = output or Path("/dev/stdout")
    if skipped is None or (results.exists() and not (results.is_file() or results.is_dir())):
        return
    place, other = _resolved(skipped, "--skipped"), _resolved(results)
    identity = identity_of(place)
    if place == other or (identity is not None and identity == identity_of(other)):
        raise BadParameter(
            f"{skipped} is the file of the results, and --skipped would replace it. "
            "Name another --skipped."
        )
    if other in place.parents:
        raise BadParameter(
            f"{skipped} lies in {output}, which is for the results alone. "
            "Name a file in another folder for --skipped."
        )


def refuse_listed(*, output: Path | None, skipped: Path | None) -> Callable[[Found], None]:
    """Return the check of each file that a source lists: it is none of the files to write.

    The check raises BadParameter for a file that would be replaced.

    Args:
        output: the file of the results; None: it replaces no file.
        skipped: the file of --skipped; None: no list is written.
    """
    files = (("--output", output), ("--skipped", skipped))
    replaced = {
        identity_of(path): (path, option)
        for option, path in files
        if path is not None and path.is_file()
    }

    def check(found: Found) -> None:
        if replaced and found.identity in replaced:
            raise is_input(*replaced[found.identity])

    return check


def is_input(output: Path, option: str = "--output") -> BadParameter:
    """Return the error for an output that is read."""
    return BadParameter(
        f"{output} is one of the photos to read, and {option} would replace it. "
        f"Name another {option}."
    )


@contextmanager
def open_output(output: Path | None) -> Generator[IO[str], None, None]:
    """Yield standard output, or a file that replaces `output` when it is complete."""
    if output is None:
        yield sys.stdout
        return
    with (
        replace_when_complete(output) as part,
        part.open("w", encoding="utf-8", newline="") as file,
    ):
        yield file


@contextmanager
def replace_when_complete(output: Path) -> Generator[Path, None, None]:
    """Yield a temporary file that replaces `output` at the end, or is removed after an error.

    A pipe or device such as /dev/stdout can't be replaced: it is yielded itself.

    Raises:
        BadParameter: `output` is a folder, or its folder does not exist.
    """
    target = _target(output)
    if target.exists() and not target.is_file():
        yield target
        return
    handle, name = tempfile.mkstemp(".part", f".{target.name}.", target.parent)
    os.close(handle)
    part = Path(name)
    try:
        part.chmod(_mode(target))
        yield part
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _target(output: Path, option: str = "--output") -> Path:
    """Return the file to replace: the target of a link, not the link."""
    target = _resolved(output, option)
    if target.is_dir():
        raise BadParameter(f"{target} is a folder. Name a file for {option}.")
    if not target.parent.is_dir():
        raise BadParameter(f"{target.parent} is not a folder. Create it, or name another {option}.")
    return target


def _resolved(output: Path, option: str = "--output") -> Path:
    try:
        target = output.resolve()
        target.is_dir()
    except (OSError, RuntimeError) as err:  # a cycle of links
        raise BadParameter(f"{output} can't be written ({err}). Name another {option}.") from err
    return target


def _mode(target: Path) -> int:
    """Return the mode of the file that is replaced, or that of a new file."""
    if target.exists():
        return target.stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_photo(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            sniff(file.read(_HEAD_BYTES))
    except UnsupportedFormat:  # another format of images or documents
        return True
    except (OSError, NotAnImage):
        return False
    return True
