"""Put a finished bundle in its place, and keep every file there that is not the bundle's own.

    own files       bundle.json, what it lists, and the model card as it was written
    foreign files   everything else: notes, photos, folders of other versions, an edited model card

    save: output -> .NAME.XXXXXXXX.replaced
          the new bundle -> output
          foreign files: .replaced -> output
          own files of the old bundle are removed, and with them .replaced

Each step is a rename. `recover` finishes after a crash: nothing but own files is ever deleted.
"""

import glob
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from app import bundle as bundles
from app.bundle import MANIFEST, MODEL_CARD, Bundle, Manifest
from app.errors import BundleError
from training.packaging.folder_lock import locked

LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""Files that desktops write into folders by themselves."""
_SUFFIX = ".replaced"


def save(
    manifest: Manifest,
    build_folder: Path,
    output: Path,
    report_progress: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Write bundle.json into `build_folder`, and move that folder to `output`.

    Args:
        manifest: the content of bundle.json.
        build_folder: on the same file system as `output`; holds every other file already.
        output: a bundle there is replaced; foreign files there stay.
        report_progress: called for each foreign file whose name the new bundle needs.

    Raises:
        BundleMismatch: `build_folder` does not hold what the manifest lists.
    """
    bundles.verify_files(Bundle(build_folder, manifest))
    seal = bundles.write_manifest(manifest.model_dump(mode="json", exclude_none=True), build_folder)
    with locked(output.parent):
        _recover(output)
        if not output.exists():
            os.replace(build_folder, output)
            return Bundle(output, manifest, seal)
        aside = Path(tempfile.mkdtemp(_SUFFIX, f".{output.name}.", output.parent))
        try:
            os.replace(output, aside)
            os.replace(build_folder, output)
            _settle(aside, output, report_progress)
        except BaseException:
            _recover(output)
            raise
    return Bundle(output, manifest, seal)


def recover(output: Path) -> None:
    """Finish the replacement of `output` that a crash interrupted, if there was one."""
    if output.parent.is_dir():
        with locked(output.parent):
            _recover(output)


def _recover(output: Path) -> None:
    for aside in sorted(output.parent.glob(f".{glob.escape(output.name)}.*{_SUFFIX}")):
        if not any(aside.iterdir()):
            aside.rmdir()
        elif not output.exists():
            os.replace(aside, output)
        else:
            _settle(aside, output)


def own_files(folder: Path) -> frozenset[str]:
    """Return the names of the bundle's own files, with forward slashes.

    Raises:
        BundleError: there is no bundle.json, or it can't be trusted.
    """
    manifest = bundles.load(folder).manifest
    own = {MANIFEST, *manifest.files}
    if not _was_edited(folder / MODEL_CARD, manifest.model_card_sha256):
        own.add(MODEL_CARD)
    return frozenset(own)


def foreign_files(folder: Path, own: frozenset[str]) -> list[str]:
    """Return what lies in `folder` beside its own files, sorted.

    A folder without any own file counts as one. Links are not followed.
    """
    return sorted(_foreign(folder, "", own))


def _foreign(folder: Path, prefix: str, own: frozenset[str]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if any(other.startswith(f"{name}/") for other in own):
                    yield from _foreign(folder / entry.name, f"{name}/", own)
                else:
                    yield name
            elif name not in own:
                yield name


def _was_edited(card: Path, sha256: str | None) -> bool:
    """Return whether a model card differs from the one written; older bundles don't record it."""
    if sha256 is None or not card.is_file():
        return False
    return hashlib.sha256(card.read_bytes()).hexdigest() != sha256


def _settle(
    aside: Path, output: Path, report_progress: Callable[[str], None] = lambda _: None
) -> None:
    """Move the foreign files of `aside` to `output`, and remove the rest of it."""
    try:
        own = own_files(aside)
    except BundleError:  # a folder without a bundle, or one that can't be trusted: all is foreign
        own = frozenset()
    for name in foreign_files(aside, own):
        target = _free(output / name)
        if target.name != Path(name).name:
            report_progress(f"{name} was not the bundle's own; it is kept as {target.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(aside / name, target)
    for name in sorted(own - {MANIFEST}):
        (aside / name).unlink(missing_ok=True)
    for folder, _, _ in os.walk(aside, topdown=False):
        if Path(folder) != aside:
            os.rmdir(folder)
    (aside / MANIFEST).unlink(missing_ok=True)  # last: it says what else is the bundle's own
    aside.rmdir()


def _free(path: Path) -> Path:
    """Return `path`, or a similar path where nothing is."""
    candidate, number = path, 1
    while os.path.lexists(candidate):
        candidate = path.with_name(f"{path.stem}.kept{number}{path.suffix}")
        number += 1
    return candidate
