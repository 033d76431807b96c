"""Check the place of a bundle before work begins, and build in a hidden folder beside it.

    require_free: the output is free, or holds a bundle that may be replaced    -> foreign files
    folder_beside: a hidden folder to build in
    training.packaging.replacement moves it to its place

A running process holds a lock on its folders. The next run for the same output removes the unlocked
folders, which a killed run left behind, and keeps those of a run that is still building.
"""

import glob
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app import bundle as bundles
from app.errors import BundleError
from training.errors import DataUnusable
from training.packaging import replacement
from training.packaging.folder_lock import locked

_SUFFIX = ".building"
_NAMES_OF_A_BUNDLE = frozenset(
    {bundles.MANIFEST, *bundles.MODEL_FILES.values(), "golden", "report"}
)
"""Without the model card: an edited one is renamed."""
_SHOWN = 4


def require_free(output: Path, *inputs: Path, force: bool = False) -> list[str]:
    """Check that a bundle can be written to `output`, and return the foreign files to keep there.

    `output` may be free, empty, or a bundle, alone or beside folders of other versions.

    Args:
        output: the place of the bundle.
        inputs: files and folders that are read; none may lie in `output`, or the other way round.
        force: allow foreign files in `output`: they are kept.

    Raises:
        DataUnusable: something else is at `output`, or it overlaps with one of `inputs`.
    """
    replacement.recover(output)
    _require_apart(output, inputs)
    if not output.exists():
        return []
    if not output.is_dir():
        raise DataUnusable(f"{output} exists and is not a folder. Name a new folder for --output.")
    own = _own_files(output)
    foreign = replacement.foreign_files(output, own)
    versions = [name for name in foreign if (output / name / bundles.MANIFEST).is_file()]
    if not own and len(versions) < len(set(foreign) - replacement.LITTER):
        raise DataUnusable(f"{output} exists and is not a bundle. Name a new folder for --output.")
    _require_names_free(output, foreign)
    unexpected = [name for name in foreign if name not in replacement.LITTER]
    if unexpected and not force:
        numbers = [int(name) for name in versions if name.isdigit()]
        example = f", such as {output / str(max(numbers) + 1)}" if numbers else ""
        raise DataUnusable(
            f"{output} holds {_listed(unexpected)}, which {_is(unexpected)} not part of its "
            "bundle. Add --force to keep that and replace only the bundle's own files, or name "
            f"another --output{example}."
        )
    return unexpected


def report_kept(foreign: Sequence[str], report_progress: Callable[[str], None]) -> None:
    """Report the foreign files that stay beside the new bundle, if there are any."""
    if foreign:
        report_progress(f"kept beside the bundle: {_listed(foreign)}")


def _require_apart(output: Path, inputs: Sequence[Path]) -> None:
    for path in inputs:
        target, source = output.resolve(), path.resolve()
        if target.is_relative_to(source) or source.is_relative_to(target):
            raise DataUnusable(
                f"{output} and {path} must not contain each other. "
                "Name an --output outside of what is read."
            )


def _own_files(output: Path) -> frozenset[str]:
    if not (output / bundles.MANIFEST).is_file():
        return frozenset()
    try:
        return replacement.own_files(output)
    except BundleError as err:
        raise DataUnusable(
            f"{output} can't be replaced, because its {bundles.MANIFEST} doesn't say reliably "
            f"which files are the bundle's own. Name another --output, or remove it yourself. {err}"
        ) from err


def _require_names_free(output: Path, foreign: Sequence[str]) -> None:
    """Reject foreign files whose names the new bundle needs."""
    if taken := [name for name in foreign if name in _NAMES_OF_A_BUNDLE]:
        raise DataUnusable(
            f"{output} holds {_listed(taken)}, which {_is(taken)} not part of its bundle and in "
            "the way of the new one. Move that away, or name another --output."
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


@contextmanager
def folder_beside(output: Path) -> Iterator[Path]:
    """Create a folder to build in, on the file system of `output`; remove it unless it was moved.

    Folders of killed runs for the same `output` are removed first.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with locked(output.parent):  # or another run could remove the folder before it is locked
            _clear(output)
            folder = Path(tempfile.mkdtemp(_SUFFIX, f".{output.name}.", output.parent))
            stack.enter_context(locked(folder))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        yield folder


def _clear(output: Path) -> None:
    for leftover in output.parent.glob(f".{glob.escape(output.name)}.*{_SUFFIX}"):
        with locked(leftover, wait=False) as is_ours:
            if is_ours:
                shutil.rmtree(leftover, ignore_errors=True)
