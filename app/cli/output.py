"""What the commands print: predictions as a table, JSON lines or CSV; figures as a table."""

import csv
import json
import os
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from app.errors import BadParameter, HubelError
from app.runtime.classifier import Classified
from app.runtime.evaluation.measure import Evaluation

Row = tuple[Path, Classified | HubelError]
_WORST = 10


@contextmanager
def open_output(output: Path | None) -> Generator[IO[str], None, None]:
    """Standard output, or a file that appears at `output` only when it is complete."""
    if output is None:
        yield sys.stdout
        return
    with write_beside(output) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def write_beside(output: Path) -> Generator[Path, None, None]:
    """A place beside `output` to write to, which takes its place at the end, or vanishes.

    What is no file, as a pipe or /dev/stdout, is written to itself.

    Raises:
        BadParameter: `output` is a folder, or there is none for it.
    """
    output = output.resolve()  # a link stays one
    if output.is_dir():
        raise BadParameter(f"{output} is a folder. Name a file for --output.")
    if not output.parent.is_dir():
        raise BadParameter(f"{output.parent} is no folder. Make it, or name another --output.")
    if output.exists() and not output.is_file():
        yield output
        return
    beside = output.with_name(f".{output.name}.part")
    try:
        yield beside
        os.replace(beside, output)
    finally:
        beside.unlink(missing_ok=True)


def write_rows(outcomes: Iterable[Row], form: str, top_k: int, out: IO[str]) -> int:
    """Write a row for each photo as it comes, and count those that can't be used.

    Args:
        outcomes: the photos, in order.
        form: table, jsonl or csv.
        top_k: how many predictions a CSV row has room for.
        out: where to.
    """
    failed = 0
    row = _row_writer(form, top_k, out)
    for path, outcome in outcomes:
        failed += isinstance(outcome, HubelError)
        row(path, outcome)
    return failed


def _row_writer(
    form: str, top_k: int, out: IO[str]
) -> Callable[[Path, Classified | HubelError], Any]:
    if form == "csv":
        return _csv_writer(top_k, out)
    line = _json_line if form == "jsonl" else _table_line
    return lambda path, outcome: print(line(path, outcome), file=out)


def _shown(path: object) -> str:
    """A path or words with one; bytes of it that are no UTF-8 as question marks."""
    return str(path).encode("utf-8", "replace").decode()


def _table_line(path: Path, outcome: Classified | HubelError) -> str:
    if isinstance(outcome, HubelError):
        return f"{_shown(path)}  {outcome.code}: {_shown(outcome)}"
    shares = (f"{p.probability:.2f} {p.label}".removeprefix("0") for p in outcome.predictions)
    return f"{_shown(path)}  {', '.join(shares)}"


def _json_line(path: Path, outcome: Classified | HubelError) -> str:
    return json.dumps(row_fields(path, outcome), ensure_ascii=False)


def row_fields(path: Path, outcome: Classified | HubelError) -> dict[str, Any]:
    """What is known of one photo, by name: a line of JSON, a row of Parquet."""
    row: dict[str, Any] = {"path": _shown(path)}
    if isinstance(outcome, HubelError):
        row["error"] = {"code": outcome.code, "detail": _shown(outcome)}
    else:
        row |= {
            "model": outcome.model,
            "version": outcome.version,
            "predictions": [
                {"label": p.label, "index": p.index, "probability": p.probability}
                for p in outcome.predictions
            ],
            "decision": outcome.decision,
        }
    return row


def _csv_writer(top_k: int, out: IO[str]) -> Callable[[Path, Classified | HubelError], Any]:
    pairs = [(f"label_{rank}", f"probability_{rank}") for rank in range(1, top_k + 1)]
    columns = ["path", *(name for pair in pairs for name in pair), "decision", "error"]
    writer = csv.DictWriter(out, columns, restval="")
    writer.writeheader()

    def row(path: Path, outcome: Classified | HubelError) -> None:
        cells: dict[str, Any] = {"path": _shown(path)}
        if isinstance(outcome, HubelError):
            cells["error"] = f"{outcome.code}: {_shown(outcome)}"
        else:
            cells["decision"] = outcome.decision or ""
            for (label, probability), p in zip(pairs, outcome.predictions, strict=False):
                cells |= {label: p.label, probability: f"{p.probability:.6f}"}
        writer.writerow(cells)

    return row


def evaluation_table(result: Evaluation) -> str:
    """The figures for people: all together, then the classes with the lowest recall."""
    lines = [
        f"{result.model} version {result.version}, {result.precision}, {result.images} photos",
        f"top-1  {result.top1:.1%}",
        f"top-5  {result.top5:.1%}",
        f"ECE    {result.ece:.3f}",
    ]
    worst = sorted(result.per_class, key=lambda figures: figures["recall"])[:_WORST]
    lines += ["", "lowest recall  photos  label"]
    lines += [f"{c['recall']:13.1%}  {c['images']:6}  {c['label']}" for c in worst]
    if result.failed:
        lines += ["", f"{len(result.failed)} photos can't be used:"]
        lines += [_shown(f"{failure['path']}  {failure['error']}") for failure in result.failed]
    return "\n".join(lines)
