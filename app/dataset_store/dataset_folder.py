"""The folder of a dataset: how its content is read, and how its files change.

    NAME/.hubel.json                    says that Hubel made the folder, and whether it has a table
    NAME/cat/<id>.jpg                   a photo with the label of its folder
    NAME/photos/<id>.jpg                a photo with several labels or none
    NAME/photos/<hash>/<id>.jpg         one whose label can't be the name of a folder
    NAME/labels.csv                     the labels of all photos, once folders can't say them

An id is half of the file's SHA-256. A file is complete once it has its name. With labels.csv a
photo belongs to the dataset once it has a row, so files are added before the table is replaced, and
removed after it. What a killed process left is removed when the folder is read for the first time.
Files that aren't named so are not Hubel's: they are neither listed nor changed. A file is removed
only if its name is that of its content, since others name files by other hashes of that length.
"""

import csv
import hashlib
import io
import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from app.dataset.label_folder import PHOTOS
from app.dataset.label_rows import of_labels_csv
from app.dataset_store.content import Content, Entry, rows_of
from app.dataset_store.names import check_label, photo_of
from app.durable_files import sync, write_file
from app.errors import BadParameter, StoreFailed

log = logging.getLogger("hubel")

MARK, TABLE = ".hubel.json", "labels.csv"
_BESIDE = ".new"
"""The end of a file's name until it is complete."""
MAX_LEFT = 200
"""More files without a row than this are not those of one change that was interrupted."""


def is_dataset(folder: Path) -> bool:
    """Return whether Hubel made `folder`."""
    return not folder.is_symlink() and (folder / MARK).is_file()


def make(folder: Path) -> None:
    """Make the folder of a new dataset.

    Raises:
        BadParameter: there is a folder that Hubel didn't make.
        OSError: it can't be made.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or any(entry.name != MARK + _BESIDE for entry in folder.iterdir()):
        raise BadParameter(
            f"There is a folder {folder} that isn't a dataset of Hubel's. Choose another name."
        )
    _write_mark(folder, has_table=False)
    sync(folder.parent)


def read(folder: Path) -> Content:
    """Return what a dataset holds, and remove what an interrupted change left in it.

    Raises:
        StoreFailed: its labels.csv is lost or can't be read.
    """
    for name in (MARK, TABLE):
        _beside(folder / name).unlink(missing_ok=True)
    files = dict(_own_files(folder))
    content = Content(has_table=(folder / TABLE).is_file())
    _check_mark(folder, has_table=content.has_table)
    labelled = dict(_by_table(folder, content) if content.has_table else _by_folder(files))
    for file, (labels, group) in labelled.items():
        found = photo_of(file.rpartition("/")[2])
        if found is None or file not in files:
            if found is None or os.path.isfile(folder / file):  # somebody else's file
                content.other_rows.append((file, labels, group))
            continue
        status = files[file]
        entry = Entry(file, *found, labels, status.st_size, status.st_mtime_ns, group)
        content.put(entry)
    _remove_left(folder, [file for file in files if file not in labelled])
    content.modified = last_change(folder)
    return content


def last_change(folder: Path) -> float:
    """Return when files were added to a dataset or removed, in seconds since 1970."""
    return max(each.stat().st_mtime for each in (folder, *_folders(folder)))


def _by_folder(files: Iterable[str]) -> Iterator[tuple[str, tuple[tuple[str, ...], str]]]:
    for file in files:
        label, _, rest = file.partition("/")
        if label != PHOTOS and "/" not in rest:
            yield file, ((label,), "")


def _by_table(folder: Path, content: Content) -> Iterator[tuple[str, tuple[tuple[str, ...], str]]]:
    try:
        for row in of_labels_csv(folder / TABLE):
            name = PurePosixPath(row.name).as_posix()
            yield name, (tuple(sorted(map(check_label, row.labels))), row.group)
    except BadParameter as err:
        raise StoreFailed(f"The dataset can't be read. {err}") from err


def _own_files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the photos in the folders of a dataset, with their status; no links."""
    for part in _folders(folder):
        yield from _photos_in(part, part.name)
        if part.name == PHOTOS:
            for inner in _folders(part):
                yield from _photos_in(inner, f"{PHOTOS}/{inner.name}")


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        ]


def _photos_in(folder: Path, name: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if photo_of(entry.name) and entry.is_file(follow_symlinks=False):
                yield f"{name}/{entry.name}", entry.stat(follow_symlinks=False)


def _remove_left(folder: Path, files: list[str]) -> None:
    """Remove photos that belong to no row."""
    if len(files) > MAX_LEFT:
        log.warning(
            "dataset %s: %d photos have no row in labels.csv, and stay. Restore its labels.csv.",
            folder.name,
            len(files),
        )
        return
    for file in files:
        if remove(folder, file):
            log.warning("dataset %s: %s of an interrupted change is removed", folder.name, file)


def write_table(folder: Path, content: Content) -> None:
    """Replace labels.csv, or remove it if it has no rows.

    Raises:
        OSError: it can't be written; the one before stays.
    """
    rows = list(rows_of(content))
    if not rows:
        _write_mark(folder, has_table=False)
        (folder / TABLE).unlink(missing_ok=True)
        content.has_table = False
        return
    has_groups = any(group for _, _, group in rows)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("file", "labels", "group")[: 2 + has_groups])
    for file, labels, group in rows:
        writer.writerow((file, ";".join(labels), group)[: 2 + has_groups])
    write_beside(folder / TABLE, text.getvalue().encode())
    if not content.has_table:
        _write_mark(folder, has_table=True)
    content.has_table = True


def _write_mark(folder: Path, *, has_table: bool) -> None:
    """Write the mark: after a new table, and before a table is removed."""
    mark = {"schema_version": 1, "has_table": has_table}
    write_beside(folder / MARK, json.dumps(mark).encode())


def _check_mark(folder: Path, *, has_table: bool) -> None:
    """Compare the mark with the table that is there.

    A mark that doesn't know of it, of an interrupted change or an earlier version, is corrected.

    Raises:
        StoreFailed: the table is lost; without it, photos would be taken for what is left over.
    """
    try:
        mark = json.loads((folder / MARK).read_bytes())
    except ValueError:
        mark = None
    has_marked = isinstance(mark, dict) and mark.get("has_table") is True
    if has_marked and not has_table:
        raise StoreFailed(
            f"The dataset's labels.csv, which has the labels of its photos, is missing. Restore "
            f"{folder / TABLE}."
        )
    if has_table and not has_marked:
        with suppress(OSError):  # the next start tries it again
            _write_mark(folder, has_table=True)


def write_beside(path: Path, data: bytes) -> None:
    """Write a file of a dataset, and nothing of it if that fails.

    Raises:
        OSError: it can't be written.
    """
    write_file(path, data, beside=_beside(path))


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name.lstrip('.')}{_BESIDE}")


def remove(folder: Path, file: str) -> bool:
    """Remove a photo of a dataset, and its folder if that is empty then.

    Returns:
        Whether it was removed: it was there, and its name is that of its content.
    """
    path = folder / file
    is_own = _is_own(path)
    if is_own:
        path.unlink(missing_ok=True)
    for above in (path.parent, path.parent.parent):
        if above == folder:
            break
        try:
            above.rmdir()
        except OSError:  # it holds other files
            break
    return is_own


def _is_own(path: Path) -> bool:
    """Return whether a file is there and its name is that of its content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest().startswith(path.stem)
    except FileNotFoundError:
        return False


def remove_all(folder: Path) -> None:
    """Remove all files that Hubel made, and folders that are empty then."""
    for file in [file for file, _ in _own_files(folder)]:
        remove(folder, file)
    (folder / MARK).unlink(missing_ok=True)
    if not _has_other_rows(folder):
        (folder / TABLE).unlink(missing_ok=True)
    with suppress(OSError):  # it holds other files
        folder.rmdir()


def _has_other_rows(folder: Path) -> bool:
    """Return whether labels.csv names files that Hubel didn't make or remove, or can't be read."""
    table = folder / TABLE
    try:
        rows = of_labels_csv(table) if table.exists() else []
    except BadParameter:
        return True
    return any(
        photo_of(row.name.rpartition("/")[2]) is None or os.path.isfile(folder / row.name)
        for row in rows
    )
