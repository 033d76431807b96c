"""Read the photos of a Parquet file: a column with their bytes, or with their paths.

    schema -> the column: the one that is named, or the only one that can hold photos
    row groups -> some rows at a time -> a photo each: FILE/NUMBER, or the path that the row has

Paths are relative to the folder of the Parquet file, absolute, or addresses.
"""

import os
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import quote

from app.errors import BadParameter, HubelError
from app.sources.addresses import is_remote
from app.sources.entry import Entry, Photo, ReadOptions, failed_photo, require_size
from app.sources.errors import BrokenShard
from app.sources.file_photo import file_photo

_NAMES = ("image", "img", "photo", "picture", "bytes", "jpg", "jpeg", "png", "content", "data")
"""Columns that hold photos, where there are several that could."""
_PATHS = ("path", "file", "filename", "file_name", "filepath", "file_path", "url", "uri", "image")
_BATCH_BYTES = 4 << 20
_MAX_ROWS = 256


def photos_of(address: str, file: BinaryIO, options: ReadOptions) -> Iterator[Entry]:
    """Yield the photos of a Parquet file; what can't be read is an error of the shard."""
    number = 0
    import pyarrow as pa
    from pyarrow import parquet

    try:
        opened = parquet.ParquetFile(
            file, buffer_size=1 << 16, pre_buffer=False, page_checksum_verification=True
        )
        column = column_of(address, opened.schema_arrow, options.image_column)
        rows = _rows_at_once(opened.metadata, column)
        for group in range(opened.num_row_groups):  # a batch of several is lost if one is damaged
            for batch in opened.iter_batches(rows, row_groups=[group], columns=[column]):
                for value in batch.column(0):
                    yield _entry(address, number, value.as_py(), options)
                    number += 1
    except (pa.ArrowException, OSError, ValueError, MemoryError) as err:
        reason = str(err).splitlines()[0][:200] if str(err) else type(err).__name__
        yield failed_photo(
            address,
            BrokenShard(
                f"{address} can't be read from row {number:,} on ({reason}). The rows before it "
                "are complete; make or copy the file again for the others."
            ),
        )
    except HubelError as err:  # of its column, or of an object store
        yield failed_photo(address, err)


def require_pyarrow(address: str) -> None:
    """Check that Parquet can be read.

    Raises:
        BadParameter: the extra `parquet` is not installed.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError as err:
        raise BadParameter(f"{address} needs {err.name}. Install the `parquet` extra.") from err


def column_of(address: str, schema: Any, named: str | None) -> str:
    """Return the column with the photos or their paths.

    Raises:
        BadParameter: there is no such column, or more than one could be meant.
    """
    columns: dict[str, str | None] = {field.name: _kind(field.type) for field in schema}
    if named is not None:
        if named not in columns:
            raise BadParameter(
                f"{address} has no column {named!r}; its columns are {', '.join(columns)}. Name "
                "another --image-column."
            )
        if columns[named] is None:
            (of_type, *_) = (field.type for field in schema if field.name == named)
            raise BadParameter(
                f"The column {named!r} of {address} has no bytes or paths: its type is {of_type}. "
                "Name another --image-column."
            )
        return named
    for kind, usual in (("bytes", _NAMES), ("path", _PATHS), ("fixed bytes", _NAMES)):
        able = [name for name, its in columns.items() if its == kind]
        if kind != "path" and len(able) == 1:
            return able[0]
        likely = [name for name in able if name.lower() in usual]
        if len(likely) == 1:
            return likely[0]
        if len(able) > 1 and kind == "bytes":
            break
    raise BadParameter(
        f"{address} has no column that must be the photos: {', '.join(columns)}. Name it with "
        "--image-column."
    )


def _kind(type: Any) -> str | None:
    """Return bytes, fixed bytes or path; None: a column of this type holds no photos.

    Fixed bytes are mostly hashes, so that other columns come first.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(type):  # the categories of pandas
        type = type.value_type
    if pa.types.is_struct(type):
        names = {type.field(place).name for place in range(type.num_fields)}
        return "bytes" if "bytes" in names else None
    if pa.types.is_fixed_size_binary(type):
        return "fixed bytes"
    if type in (pa.binary(), pa.large_binary(), pa.binary_view()):
        return "bytes"
    return "path" if type in (pa.string(), pa.large_string(), pa.string_view()) else None


def _rows_at_once(metadata: Any, column: str) -> int:
    """Return how many rows take about `_BATCH_BYTES`."""
    most = 1
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group)
        taken = sum(
            rows.column(place).total_uncompressed_size
            for place in range(rows.num_columns)
            if rows.column(place).path_in_schema.split(".")[0] == column
        )
        most = max(most, taken // max(1, rows.num_rows))
    return int(min(_MAX_ROWS, max(1, _BATCH_BYTES // most)))


def _entry(address: str, number: int, value: Any, options: ReadOptions) -> Entry:
    name = f"{address}/{number}"
    if isinstance(value, dict):
        value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
    if isinstance(value, str) and value:
        try:
            return file_photo(_beside(address, value), options)
        except BadParameter as err:
            return failed_photo(value, err)
    if not isinstance(value, bytes):
        return failed_photo(name, BadParameter(f"Row {number:,} of {address} has no photo."))
    data = value
    try:
        require_size(len(data), options.max_bytes)
    except HubelError as err:
        return failed_photo(name, err, len(data))
    return Photo(name, lambda: data, len(data))


def _beside(address: str, path: str) -> str:
    """Return the place of a photo that a row of a Parquet file names.

    Raises:
        BadParameter: a Parquet file of an object store names a file of this machine.
    """
    if is_remote(path):
        return path
    if not is_remote(address):
        return os.path.normpath(os.path.join(os.path.dirname(address), path))
    parts = path.split("/")
    if path.startswith("/") or ".." in parts:
        raise BadParameter(
            f"{address} names {path}, which lies outside of its folder. Name photos relative to "
            "it, or by their address."
        )
    folder = address.partition("?")[0].rpartition("/")[0]
    quoted = path if address.startswith(("s3://", "gs://")) else quote(path)
    return f"{folder}/{quoted}"
