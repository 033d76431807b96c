"""`hubel classify --format parquet`: the fields of a JSON line, as columns.

Importing this needs the extra `parquet`.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from app.cli.output import Row, row_fields, write_beside
from app.errors import HubelError

ROWS = 4096
"""Rows of a group: what is held in memory at once."""
_PREDICTION = pa.struct(
    [("label", pa.string()), ("index", pa.int32()), ("probability", pa.float64())]
)
_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("model", pa.string()),
        ("version", pa.int32()),
        ("predictions", pa.list_(_PREDICTION)),
        ("decision", pa.string()),
        ("error", pa.struct([("code", pa.string()), ("detail", pa.string())])),
    ]
)


def write_parquet(outcomes: Iterable[Row], output: Path) -> int:
    """Write a row for each photo to `output`, complete or not at all; count what can't be used."""
    failed, rest = 0, iter(outcomes)
    with write_beside(output) as beside, parquet.ParquetWriter(beside, _SCHEMA) as writer:
        while group := list(islice(rest, ROWS)):
            failed += sum(isinstance(outcome, HubelError) for _, outcome in group)
            rows = [row_fields(path, outcome) for path, outcome in group]
            writer.write_table(pa.Table.from_pylist(rows, _SCHEMA))
    return failed
