"""Write rows as Parquet: the fields of a JSON line, as columns.

Importing this module needs the extra `parquet`.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from app.bulk.rows import row_fields
from app.bulk.text_rows import Columns, WriteRow
from app.runtime.bulk import PhotoResult

ROWS = 4096
"""Rows of a group; they are in memory at once."""
_ROWS_WITH_EMBEDDING = 512
_PREDICTION = pa.struct(
    [("label", pa.string()), ("index", pa.int32()), ("probability", pa.float64())]
)
_LABEL_PREDICTION = pa.struct([*_PREDICTION, ("accepted", pa.bool_())])
_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("model", pa.string()),
        ("version", pa.int32()),
        ("predictions", pa.list_(_PREDICTION)),
        ("decision", pa.string()),
        ("error", pa.struct([("code", pa.string()), ("detail", pa.string())])),
        ("familiarity", pa.float64()),
        ("unknown_score", pa.string()),
        ("unknown_threshold", pa.float64()),
        ("sha256", pa.string()),
        ("size", pa.int64()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
    ]
)


@contextmanager
def parquet_writer(path: Path, columns: Columns) -> Generator[WriteRow, None, None]:
    """Yield the function that writes a row to `path`; after an error the file is incomplete."""
    schema = schema_of(columns)
    group: list[dict[str, Any]] = []
    most = _ROWS_WITH_EMBEDDING if columns.embedding else ROWS
    with parquet.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(group, schema))
            group.clear()

        def write_row(photo: PhotoResult) -> None:
            group.append(row_fields(photo))
            if len(group) == most:
                flush()

        yield write_row
        if group:
            flush()


def schema_of(columns: Columns) -> pa.Schema:
    """Return the columns of the file, with their types."""
    schema = _SCHEMA
    if columns.task == "multi_label":
        place = schema.get_field_index("predictions")
        schema = schema.set(place, pa.field("predictions", pa.list_(_LABEL_PREDICTION)))
    if columns.embedding:
        schema = schema.append(pa.field("embedding", pa.list_(pa.float32())))
    return schema
