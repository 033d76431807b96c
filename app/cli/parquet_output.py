"""The format parquet of `hubel classify`: the fields of a JSON line, as columns.

Importing this module needs the extra `parquet`.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from app.bundle import Task
from app.cli.output import Row, row_fields
from app.cli.output_file import replace_when_complete
from app.errors import HubelError

ROWS = 4096
"""Rows of a group; they are in memory at once."""
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
    ]
)


def write_parquet(results: Iterable[Row], output: Path, task: Task = "single_label") -> int:
    """Write a row for each photo to `output`; return how many can't be used.

    After an error `output` is unchanged. `task` is that of the model.
    """
    failed, rest = 0, iter(results)
    schema = _schema_of(task)
    with replace_when_complete(output) as part, parquet.ParquetWriter(part, schema) as writer:
        while group := list(islice(rest, ROWS)):
            failed += sum(isinstance(result, HubelError) for _, result in group)
            rows = [row_fields(path, result) for path, result in group]
            writer.write_table(pa.Table.from_pylist(rows, schema))
    return failed


def _schema_of(task: Task) -> pa.Schema:
    if task == "single_label":
        return _SCHEMA
    place = _SCHEMA.get_field_index("predictions")
    return _SCHEMA.set(place, pa.field("predictions", pa.list_(_LABEL_PREDICTION)))
