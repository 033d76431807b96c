"""Read reference probabilities: what a script of the user's gives for a photo.

    photo.jpg=0.1,0.7,0.2                                   an option with its numbers
    {"photo.jpg": [0.1, 0.7, 0.2]}                          a JSON file, in the order of the labels
    {"photo.jpg": {"cat": 0.7, "dog": 0.2}}                 by label, the best few are enough
    [{"file": "photo.jpg", "probabilities": ...}]           a list of these
    [{"file": "photo.jpg", "predictions": [{"label": "cat", "score": 0.7}]}]
    file,cat,dog,bird                                       a CSV file: a column a label

Photos are relative to the file that names them.
"""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.bundle import Label, Task
from training.errors import DataUnusable

_FILE_KEYS = ("file", "photo", "image", "path", "filename")
_VALUE_KEYS = ("probabilities", "predictions", "scores", "outputs")
_LABEL_KEYS = ("label", "class", "name")
_NUMBER_KEYS = ("probability", "score", "confidence")
_SUM_TOLERANCE = 0.02
_ROUNDING = 1e-6
"""How far beyond 0 and 1 a probability may be rounded."""
_ADVICE = "See docs/bundles.md for the formats of --reference."


@dataclass(frozen=True)
class Reference:
    """The probabilities that a script gives for a photo."""

    photo: Path
    probabilities: Mapping[int, float]
    """By class index; all classes, or the best few."""
    where: str = "--reference"
    """What states them, for errors."""


def read(
    values: Sequence[str], labels: Sequence[Label], task: Task = "single_label"
) -> list[Reference]:
    """Return the references that the values of --reference state.

    Raises:
        DataUnusable: a file or a photo can't be read, or the numbers are no probabilities of
            these labels.
    """
    references = [reference for value in values for reference in _of_value(value, labels)]
    if task == "single_label":
        for reference in references:
            _require_sum(reference, len(labels))
    return references


def _of_value(value: str, labels: Sequence[Label]) -> Iterator[Reference]:
    photo, _, numbers = value.rpartition("=")
    if photo and (row := _numbers(numbers)) is not None:
        yield _reference(Path(photo), row, labels, value)
        return
    file = Path(value)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as err:
        raise DataUnusable(
            f"--reference {value} is neither PHOTO=0.1,0.9 nor a file that can be read. {_ADVICE}"
        ) from err
    try:
        rows = list(_json_rows(text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text))
    except (ValueError, csv.Error, RecursionError) as err:
        raise DataUnusable(f"{file} holds no reference probabilities ({err}). {_ADVICE}") from err
    if not rows:
        raise DataUnusable(f"{file} holds no reference probabilities. {_ADVICE}")
    for name, probabilities in rows:
        yield _reference(file.parent / name, probabilities, labels, str(file))


def _numbers(text: str) -> list[float] | None:
    try:
        return [float(part) for part in text.replace(",", " ").split()] or None
    except ValueError:
        return None


def _json_rows(text: str) -> Iterator[tuple[str, Any]]:
    document = json.loads(text)
    if isinstance(document, dict):
        yield from document.items()
        return
    for item in document:
        if not isinstance(item, dict):
            raise ValueError("an element is no object")
        name = next((item[key] for key in _FILE_KEYS if key in item), None)
        probabilities = next((item[key] for key in _VALUE_KEYS if key in item), None)
        if not isinstance(name, str) or probabilities is None:
            raise ValueError('an element needs "file" and "probabilities"')
        yield name, probabilities


def _csv_rows(text: str) -> Iterator[tuple[str, Any]]:
    header, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
    titles = [title.strip() for title in header]
    place = next((i for i, title in enumerate(titles) if title.casefold() in _FILE_KEYS), None)
    if place is None:
        raise ValueError(f"its header has none of the columns {', '.join(_FILE_KEYS)}")
    for number, row in enumerate(rows, 2):
        if not any(map(str.strip, row)):
            continue
        if len(row) != len(titles):
            raise ValueError(f"line {number} has {len(row)} cells and the header {len(titles)}")
        cells = {
            title: cell
            for i, (title, cell) in enumerate(zip(titles, row, strict=True))
            if i != place
        }
        yield row[place].strip(), {title: float(cell) for title, cell in cells.items()}


def _reference(photo: Path, probabilities: Any, labels: Sequence[Label], where: str) -> Reference:
    if not photo.is_file():
        raise DataUnusable(f"The reference photo {photo} doesn't exist. {_ADVICE}")
    by_index = _by_index(probabilities, labels, where)
    values = list(by_index.values())
    if not all(math.isfinite(value) and -_ROUNDING <= value <= 1 + _ROUNDING for value in values):
        raise DataUnusable(
            f"{where}: the numbers for {photo.name} are no probabilities. "
            "Give the script's output after its softmax or sigmoid."
        )
    return Reference(photo, by_index, where)


def _require_sum(reference: Reference, labels: int) -> None:
    values = reference.probabilities.values()
    if len(values) == labels and abs(sum(values) - 1) > _SUM_TOLERANCE:
        raise DataUnusable(
            f"{reference.where}: the probabilities for {reference.photo.name} sum to "
            f"{sum(values):.3g}, and not to 1. Give the script's output after its softmax."
        )


def _by_index(probabilities: Any, labels: Sequence[Label], where: str) -> dict[int, float]:
    if isinstance(probabilities, list) and probabilities and isinstance(probabilities[0], dict):
        probabilities = {
            str(next((item[key] for key in _LABEL_KEYS if key in item), "")): next(
                (item[key] for key in _NUMBER_KEYS if key in item), None
            )
            for item in probabilities
        }
    if isinstance(probabilities, dict):
        index_of = {str(index): index for index in range(len(labels))}
        index_of |= {label.id: index for index, label in enumerate(labels) if label.id}
        index_of |= {label.name: index for index, label in enumerate(labels)}
        if unknown := [name for name in probabilities if name not in index_of]:
            raise DataUnusable(
                f"{where}: {unknown[0]!r} is none of the labels. "
                "Name labels as the label file does."
            )
        probabilities = {index_of[name]: value for name, value in probabilities.items()}
    elif isinstance(probabilities, list) and len(probabilities) == len(labels):
        probabilities = dict(enumerate(probabilities))
    else:
        count = len(probabilities) if isinstance(probabilities, list) else "no"
        raise DataUnusable(
            f"{where}: there are {count} probabilities and {len(labels)} labels. "
            "Give one for each label, or name the labels."
        )
    if not probabilities or not all(isinstance(v, int | float) for v in probabilities.values()):
        raise DataUnusable(f"{where}: a probability is no number. {_ADVICE}")
    return {index: float(value) for index, value in probabilities.items()}
