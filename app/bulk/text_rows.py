"""Write rows as a table, as JSON lines or as CSV, each as its photo is classified."""

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, Any

from numpy.typing import NDArray

from app.bulk.rows import file_fields, printable, row_fields, unknown_fields
from app.bundle import Task
from app.errors import HubelError
from app.runtime.bulk import PhotoResult
from app.runtime.classifier import Classified, Prediction

WriteRow = Callable[[PhotoResult], Any]
_UNKNOWN = ("familiarity", "unknown_score", "unknown_threshold")
_FILE = ("sha256", "size", "format", "width", "height")
"""The last columns of CSV, after those that were there before them."""
ACCEPTED = "labels"
"""The column of CSV with the accepted labels of a multi-label model, as labels.csv has them."""
_DECIMALS = 6
"""Of the numbers of an embedding, as in responses."""


@dataclass(frozen=True)
class Columns:
    """The columns of rows besides those that all have."""

    top_k: int
    """Number of predictions."""
    task: Task = "single_label"
    embedding: bool = False


def row_writer(form: str, columns: Columns, out: IO[str]) -> WriteRow:
    """Return the function that writes a row; `form` is table, jsonl or csv."""
    if form == "csv":
        return _csv_writer(columns, out)
    line = json_line if form == "jsonl" else table_line
    return lambda photo: out.write(f"{line(photo)}\n")


def table_line(photo: PhotoResult) -> str:
    """Return the line of a photo for people."""
    return f"{one_line(photo.path)}  {_result_text(photo.result)}"


def one_line(text: object) -> str:
    """Return a text without characters that a terminal acts on, such as line breaks."""
    shown = printable(text)
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def _result_text(result: Classified | HubelError) -> str:
    if isinstance(result, HubelError):
        return f"{result.code}: {one_line(result)}"
    if result.task == "multi_label":
        return _labels_text(result)
    return _shares_text(result.predictions)


def _shares_text(predictions: Iterable[Prediction]) -> str:
    return ", ".join(f"{p.probability:.2f} {p.label}".removeprefix("0") for p in predictions)


def _labels_text(result: Classified) -> str:
    """Return the accepted labels of a photo, and behind a semicolon the others that are listed."""
    accepted = [p for p in result.predictions if p.accepted]
    others = [p for p in result.predictions if not p.accepted]
    text = _shares_text(accepted) or "no label"
    return f"{text}; not {_shares_text(others)}" if others else text


def json_line(photo: PhotoResult) -> str:
    """Return the row of a photo as JSON."""
    return json.dumps(row_fields(photo), ensure_ascii=False, default=_rounded)


def _rounded(embedding: NDArray[Any]) -> list[float]:
    values: list[float] = embedding.astype(float).round(_DECIMALS).tolist()
    return values


def _csv_writer(columns: Columns, out: IO[str]) -> WriteRow:
    ranks = range(1, columns.top_k + 1)
    pairs = [(f"label_{rank}", f"probability_{rank}") for rank in ranks]
    names = ["path", *(name for pair in pairs for name in pair), "decision", "error"]
    names += [*_UNKNOWN, *_FILE, *(["embedding"] if columns.embedding else [])]
    if columns.task == "multi_label":
        names.insert(1, ACCEPTED)
    writer = csv.DictWriter(out, names, restval="")
    writer.writeheader()
    return lambda photo: writer.writerow(_csv_cells(photo, pairs, columns))


def _csv_cells(
    photo: PhotoResult, pairs: Iterable[tuple[str, str]], columns: Columns
) -> dict[str, Any]:
    result = photo.result
    cells: dict[str, Any] = {"path": printable(photo.path), **_filled(file_fields(photo))}
    if isinstance(result, HubelError):
        return cells | {"error": f"{result.code}: {printable(result)}"}
    cells |= {"decision": result.decision or "", **_filled(unknown_fields(result))}
    if columns.task == "multi_label":
        cells[ACCEPTED] = ";".join(p.label for p in result.predictions if p.accepted)
    for (label, probability), p in zip(pairs, result.predictions, strict=False):
        cells |= {label: p.label, probability: f"{p.probability:.6f}"}
    if columns.embedding and result.embedding is not None:
        cells["embedding"] = json.dumps(_rounded(result.embedding))
    return cells


def _filled(fields: Any) -> dict[str, Any]:
    return {name: "" if value is None else value for name, value in fields.items()}
