"""The photos of a zip with their labels: one folder for each label, or a labels.csv.

pets.zip: pets/cat/1.jpg -> folders that all photos are in are left out -> cat/1.jpg -> cat
          train/cat/1.jpg  test/cat/2.jpg -> the parts of a split likewise -> cat
          labels.csv, x/1.jpg -> the labels in its row

Nothing is written by a name of the zip: names give labels and stand in the response.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from app.dataset.files import SUFFIXES
from app.dataset.label_rows import of_labels_csv
from app.dataset.split_names import part_named
from app.dataset_store.incoming import SentPhoto
from app.dataset_store.names import MAX_LABELS, check_label
from app.errors import (
    BadArchive,
    BadParameter,
    HubelError,
    NotAnImage,
    TooManyBytes,
    UnsupportedFormat,
)
from app.vision.sniff import sniff
from app.zip_directory import ZipFile, ZipLimits, read_directory, read_file

_TABLE = "labels.csv"
_MAX_TABLE_BYTES = 32 * 1024 * 1024
_TABLE_BYTES_OF_A_FILE = 1024
_MIN_TABLE_BYTES = 1024 * 1024
"""A labels.csv of this size is read from any zip: that of a large set, sent with each part of it.
Once read, a table takes about 78 times its size in memory."""
_ARCHIVES = frozenset((".zip", ".tar", ".tgz", ".gz", ".7z", ".rar", ".xz", ".bz2", ".jar"))
_IN_FOLDER = 2
"""The parts of the path of a photo in the folder of its label."""
MAX_SKIPPED = 1000
"""Skipped files that are named."""


class ZipPhotos:
    """The photos of a zip; a context manager that closes it.

    Args:
        path: the zip.
        limits: the most that it may hold.
        max_bytes: the size of the largest photo.

    Raises:
        BadArchive: it is no zip, is broken, or has no photo with a label.
        TooManyBytes: it is beyond the limits.
        BadParameter: its labels.csv can't be used.
        OSError: it can't be read.
    """

    def __init__(self, path: Path, limits: ZipLimits, max_bytes: int) -> None:
        self.skipped: list[tuple[str, str]] = []
        """Names and reasons of files that aren't used; complete once all photos were read."""
        self._max_bytes = max_bytes
        self._archive, content = read_directory(path, limits)
        try:
            for name, reason in content.skipped:
                self._skip(name, reason)
            self._labelled = self._with_labels(content.files, path)
            if not self._labelled:
                raise BadArchive(
                    "The zip has no photo in a folder. Put the photos into a folder for each label."
                )
        except BaseException:
            self._archive.close()
            raise

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the zip."""
        self._archive.close()

    def __iter__(self) -> Iterator[SentPhoto]:
        """Yield the photos, each unpacked when it is its turn; skip files that are none."""
        for file, labels in self._labelled:
            try:
                data = read_file(self._archive, file, self._max_bytes)
            except HubelError as err:
                yield SentPhoto(file.name[:200], err, labels)
                continue
            if _suffix(file) not in SUFFIXES and not _is_image(data):
                self._skip(file.name, "it is no photo")
                continue
            yield SentPhoto(file.name[:200], data, labels)

    def _skip(self, name: str, reason: str) -> None:
        if len(self.skipped) < MAX_SKIPPED:
            self.skipped.append((name[:200], reason))

    def _with_labels(
        self, files: Sequence[ZipFile], path: Path
    ) -> list[tuple[ZipFile, tuple[str, ...]]]:
        files = [file for file in files if not self._is_archive(file)]
        tables = [file for file in files if file.path[-1].lower() == _TABLE]
        if tables:
            table = min(tables, key=lambda file: len(file.path))
            most = max(_MIN_TABLE_BYTES, len(files) * _TABLE_BYTES_OF_A_FILE)
            max_bytes = min(_MAX_TABLE_BYTES, most)
            rows = _rows(self._archive, table, path.with_suffix(".table"), max_bytes)
            return self._by_table([file for file in files if file not in tables], table, rows)
        return self._by_folder(files)

    def _is_archive(self, file: ZipFile) -> bool:
        if _suffix(file) not in _ARCHIVES:
            return False
        self._skip(file.name, "archives in the zip aren't unpacked")
        return True

    def _by_folder(self, files: Sequence[ZipFile]) -> list[tuple[ZipFile, tuple[str, ...]]]:
        above = _above([file.path for file in files if _suffix(file) in SUFFIXES])
        labelled: list[tuple[ZipFile, tuple[str, ...]]] = []
        for file in files:
            inner = file.path[above:]
            if len(inner) < _IN_FOLDER:
                self._skip(file.name, "it lies in no folder of a label")
                continue
            try:
                labelled.append((file, (check_label(inner[0]),)))
            except BadParameter:
                self._skip(file.name, "its folder can't be a label")
        return labelled

    def _by_table(
        self, files: Sequence[ZipFile], table: ZipFile, rows: Mapping[str, tuple[str, ...]]
    ) -> list[tuple[ZipFile, tuple[str, ...]]]:
        folder = table.path[:-1]
        labelled = []
        found = set()
        for file in files:
            name = "/".join(file.path[len(folder) :])
            if file.path[: len(folder)] != folder or name not in rows:
                self._skip(file.name, "labels.csv doesn't name it")
                continue
            found.add(name)
            labelled.append((file, rows[name]))
        for name in rows.keys() - found:
            self._skip(name, "labels.csv names it, and the zip doesn't have it")
        return labelled


def _above(paths: Sequence[tuple[str, ...]]) -> int:
    """Return the number of folders above those of the labels."""
    above = 0
    while paths and all(len(path) > above + _IN_FOLDER for path in paths):
        names = {path[above] for path in paths}
        if len(names) > 1 and not all(part_named(name) for name in names):
            break
        above += 1
    return above


def _rows(
    archive: zipfile.ZipFile, table: ZipFile, beside: Path, max_bytes: int
) -> dict[str, tuple[str, ...]]:
    """Return the labels of each file that labels.csv names.

    Args:
        archive: the zip.
        table: its labels.csv.
        beside: where it may be unpacked.
        max_bytes: its largest size.

    Raises:
        BadArchive: it is broken.
        BadParameter: it is no table of labels.
        TooManyBytes: it is too long.
    """
    if table.info.file_size > max_bytes:
        raise TooManyBytes(
            f"The zip's labels.csv has {table.info.file_size:,} bytes; {max_bytes:,} are allowed "
            "with this number of files. Leave out rows of files that the zip doesn't have."
        )
    beside.write_bytes(read_file(archive, table, max_bytes))
    try:
        rows: dict[str, tuple[str, ...]] = {}
        for row in of_labels_csv(beside):
            name = PurePosixPath(row.name.replace("\\", "/")).as_posix()
            labels = sorted({check_label(label) for label in row.labels} | set(rows.get(name, ())))
            if len(labels) > MAX_LABELS:
                raise BadParameter(f"labels.csv gives {name[:200]} over {MAX_LABELS} labels.")
            rows[name] = tuple(labels)
        return rows
    except BadParameter as err:
        raise BadParameter(str(err).replace(str(beside), "labels.csv")) from err
    finally:
        beside.unlink(missing_ok=True)


def _suffix(file: ZipFile) -> str:
    return PurePosixPath(file.path[-1]).suffix.lower()


def _is_image(data: bytes) -> bool:
    try:
        sniff(data)
    except NotAnImage:
        return False
    except UnsupportedFormat:
        return True
    return True
