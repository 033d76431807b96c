"""The output of the commands: predictions as a table, JSON lines or CSV; figures as a table."""

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from app.bundle import Metrics, MultiLabelMetrics, Task
from app.errors import HubelError
from app.runtime.classifier import Classified, Prediction
from app.runtime.evaluation.interval import interval_text, with_interval
from app.runtime.evaluation.measure import Evaluation, MultiLabelEvaluation

Row = tuple[Path, Classified | HubelError]
_UNKNOWN = ("familiarity", "unknown_score", "unknown_threshold")
"""The last columns of CSV, after those that were there before them."""
ACCEPTED = "labels"
"""The column of CSV with the accepted labels of a multi-label model, as labels.csv has them."""
_SHOWN_CLASSES = 10
"""Number of classes in the table of figures: those with the lowest recall."""


def write_rows(
    results: Iterable[Row], form: str, top_k: int, out: IO[str], task: Task = "single_label"
) -> int:
    """Write a row for each photo as it is classified; return how many can't be used.

    Args:
        results: the photos and their results, in order.
        form: table, jsonl or csv.
        top_k: number of predictions in a CSV row.
        out: the stream to write to.
        task: the task of the model.
    """
    failed = 0
    write_row = _row_writer(form, top_k, out, task)
    for path, result in results:
        failed += isinstance(result, HubelError)
        write_row(path, result)
    return failed


def _row_writer(
    form: str, top_k: int, out: IO[str], task: Task
) -> Callable[[Path, Classified | HubelError], Any]:
    if form == "csv":
        return _csv_writer(top_k, out, task)
    line = _json_line if form == "jsonl" else _table_line
    return lambda path, result: print(line(path, result), file=out)


def printable(path: object) -> str:
    """Return a path, or a text with one; bytes that are not UTF-8 become question marks."""
    return str(path).encode("utf-8", "replace").decode()


def _table_line(path: Path, result: Classified | HubelError) -> str:
    if isinstance(result, HubelError):
        return f"{printable(path)}  {result.code}: {printable(result)}"
    if result.task == "multi_label":
        return f"{printable(path)}  {_labels_text(result)}"
    return f"{printable(path)}  {_shares_text(result.predictions)}"


def _shares_text(predictions: Iterable[Prediction]) -> str:
    return ", ".join(f"{p.probability:.2f} {p.label}".removeprefix("0") for p in predictions)


def _labels_text(result: Classified) -> str:
    """Return the accepted labels of a photo, and behind a semicolon the others that are listed."""
    accepted = [p for p in result.predictions if p.accepted]
    others = [p for p in result.predictions if not p.accepted]
    text = _shares_text(accepted) or "no label"
    return f"{text}; not {_shares_text(others)}" if others else text


def _json_line(path: Path, result: Classified | HubelError) -> str:
    return json.dumps(row_fields(path, result), ensure_ascii=False)


def row_fields(path: Path, result: Classified | HubelError) -> dict[str, Any]:
    """Return the fields of one photo's row, for a line of JSON or a row of Parquet."""
    row: dict[str, Any] = {"path": printable(path)}
    if isinstance(result, HubelError):
        row["error"] = {"code": result.code, "detail": printable(result)}
    else:
        row |= {
            "model": result.model,
            "version": result.version,
            "predictions": [
                {
                    "label": p.label,
                    "index": p.index,
                    "probability": p.probability,
                    **({} if p.accepted is None else {"accepted": p.accepted}),
                }
                for p in result.predictions
            ],
            "decision": result.decision,
            **_unknown_fields(result),
        }
    return row


def _unknown_fields(result: Classified) -> dict[str, Any]:
    """Return the score that decides whether a photo is unknown, as /api/v1/classify names it."""
    unknown = result.unknown
    return {
        "familiarity": unknown and unknown.shown_value,
        "unknown_score": unknown and unknown.name,
        "unknown_threshold": unknown and unknown.threshold,
    }


def _csv_writer(
    top_k: int, out: IO[str], task: Task
) -> Callable[[Path, Classified | HubelError], Any]:
    pairs = [(f"label_{rank}", f"probability_{rank}") for rank in range(1, top_k + 1)]
    columns = ["path", *(name for pair in pairs for name in pair), "decision", "error", *_UNKNOWN]
    if task == "multi_label":
        columns.insert(1, ACCEPTED)
    writer = csv.DictWriter(out, columns, restval="")
    writer.writeheader()

    def write_row(path: Path, result: Classified | HubelError) -> None:
        cells: dict[str, Any] = {"path": printable(path)}
        if isinstance(result, HubelError):
            cells["error"] = f"{result.code}: {printable(result)}"
        else:
            cells["decision"] = result.decision or ""
            if task == "multi_label":
                cells[ACCEPTED] = ";".join(p.label for p in result.predictions if p.accepted)
            cells |= {n: "" if v is None else v for n, v in _unknown_fields(result).items()}
            for (label, probability), p in zip(pairs, result.predictions, strict=False):
                cells |= {label: p.label, probability: f"{p.probability:.6f}"}
        writer.writerow(cells)

    return write_row


def figures_text(figures: Metrics | MultiLabelMetrics) -> str:
    """Return the figures of bundle.json in a few words."""
    if isinstance(figures, MultiLabelMetrics):
        return (
            f"mAP {figures.mean_average_precision:.3f}, F1 {figures.f1_micro:.3f} (micro) and "
            f"{figures.f1_macro:.3f} (macro), exactly right "
            f"{with_interval(figures.exact, figures.images)}, {figures.ece:.3f} on {figures.images}"
        )
    return (
        f"top-1 {with_interval(figures.top1, figures.images)}, ECE {figures.ece:.3f} on "
        f"{figures.images}"
    )


def evaluation_table(figures: Evaluation | MultiLabelEvaluation) -> str:
    """Return the figures as text: first for all photos, then the weakest labels."""
    if isinstance(figures, MultiLabelEvaluation):
        lines = _multi_label_lines(figures)
    else:
        lines = _single_label_lines(figures)
    if figures.failed:
        lines += ["", f"{len(figures.failed)} photos have no result:"]
        lines += [printable(f"{failure['path']}  {failure['error']}") for failure in figures.failed]
    return "\n".join(lines)


def _multi_label_lines(figures: MultiLabelEvaluation) -> list[str]:
    lines = [
        f"{figures.model} version {figures.version}, {figures.precision}, {figures.images} photos",
        f"mean average precision  {figures.mean_average_precision:.3f}",
        f"F1 micro, macro         {figures.f1_micro:.3f}, {figures.f1_macro:.3f}",
        f"exactly right           {with_interval(figures.exact, figures.images)}",
        f"ECE, mean of labels     {figures.ece:.3f}",
        "",
        "average precision     F1  precision  recall    ECE  photos  label",
    ]
    weakest = sorted(figures.per_label, key=lambda label: label["average_precision"] or 0)
    return lines + [
        f"{_cell(c['average_precision']):>17}  {_cell(c['f1']):>5}  {_cell(c['precision']):>9}  "
        f"{_cell(c['recall']):>6}  {c['ece']:5.3f}  {c['images']:6}  {c['label']}"
        for c in weakest[:_SHOWN_CLASSES]
    ]


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _single_label_lines(figures: Evaluation) -> list[str]:
    lines = [
        f"{figures.model} version {figures.version}, {figures.precision}, {figures.images} photos",
        f"top-1  {with_interval(figures.top1, figures.images)}",
        f"top-5  {with_interval(figures.top5, figures.images)}",
        f"ECE    {figures.ece:.3f}",
    ]
    if figures.coverage is not None:
        lines.append(_accepted_line(figures))
    worst = sorted(figures.per_class, key=lambda label: label["recall"])[:_SHOWN_CLASSES]
    lines += ["", "lowest recall  photos  interval             label"]
    return lines + [
        f"{c['recall']:13.1%}  {c['images']:6}  {interval_text(c['recall'], c['images']):19}  "
        f"{c['label']}"
        for c in worst
    ]


def _accepted_line(figures: Evaluation) -> str:
    """Return a line about the accepted predictions, beside the promise where there is one."""
    assert figures.coverage is not None
    accepted = round(figures.coverage * figures.images)
    line = f"accepted  {accepted} of {figures.images} predictions"
    if figures.accepted_precision is not None:
        line += f", of which right: {with_interval(figures.accepted_precision, accepted)}"
    if figures.promised_precision is not None:
        line += f"; promised: {100 * figures.promised_precision:g} %"
    return line
