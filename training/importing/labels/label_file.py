"""A file of labels -> the labels of a bundle, in the order of the model's output.

    bytes -> text -> entries -> in the order of their indices -> checked -> labels

Explicit indices win over the order in the file. Gaps, doubles, empty names and names that are no
text are errors, since each would give photos the label of another class.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.bundle import Label
from training.errors import DataUnusable
from training.importing import file_kind
from training.importing.labels.documents import is_document, read_document
from training.importing.labels.entry import Entries, Entry, UnclearLabels
from training.importing.labels.lines import read_lines
from training.importing.labels.numbering import in_order
from training.importing.labels.tables import is_table, read_table
from training.importing.labels.text import decode
from training.importing.labels.yaml_names import is_yaml, read_yaml

_IMAGENET = (1000, 1001)
"""Numbers of labels of ImageNet's lists, without and with a class for the background. They name two
classes `crane` and two `maillot`."""
_SHOWN = 3
"""Labels that a note shows."""


@dataclass(frozen=True)
class LabelFile:
    """The labels of a file."""

    labels: tuple[Label, ...]
    notes: tuple[str, ...]
    """How the file was read, as lines for the user."""


def read(file: Path) -> LabelFile:
    """Return the labels of `file`; one is enough for a model with one output.

    Raises:
        DataUnusable: the file can't be read, or an index, a name or an encoding is wrong.
    """
    try:
        data = file.read_bytes()
    except OSError as err:
        raise DataUnusable(f"{file} can't be read ({err.strerror}). Name a label file.") from err
    if (kind := file_kind.kind_of(data)) is not None:
        raise DataUnusable(f"{file} is {kind.name}, and no file of labels. {kind.advice}")
    try:
        text, encoding = decode(data)
        found = _entries(text)
        entries, from_one = in_order(found.entries)
        labels, notes = _distinct(entries)
    except UnclearLabels as err:
        raise DataUnusable(f"{file}: {err}") from err
    return LabelFile(labels, (_summary(file, labels, found.form, encoding, from_one), *notes))


def _entries(text: str) -> Entries:
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")
    if is_document(text):
        return read_document(text)
    if is_yaml(text):
        return read_yaml(text)
    if is_table(text):
        return read_table(text)
    return read_lines(text)


def _distinct(entries: Sequence[Entry]) -> tuple[tuple[Label, ...], list[str]]:
    """Return labels that differ in more than case, and a note on each name that got a suffix."""
    for index, entry in enumerate(entries):
        _check_name(index, entry.name)
    if not entries:
        raise UnclearLabels("it has no labels. Name each class of the model.")
    places = defaultdict(list)
    for index, entry in enumerate(entries):
        places[_folded(entry.name)].append(index)
    names = [entry.name for entry in entries]
    notes = []
    for indices in places.values():
        ids = {entries[index].id for index in indices}
        if len(indices) == 1:
            continue
        if (None in ids or len(ids) < len(indices)) and len(entries) not in _IMAGENET:
            first, second = indices[:2]
            raise UnclearLabels(
                f"the labels {first} and {second} have the same name, "
                f"{entries[first].name!r} and {entries[second].name!r}. Make the names unique."
            )
        for index in indices:
            names[index] = f"{names[index]} ({entries[index].id or index})"
        notes.append(f"labels with one name: {' and '.join(names[index] for index in indices)}")
    counts = Counter(map(_folded, names))
    if repeated := next((name for name in names if counts[_folded(name)] > 1), None):
        raise UnclearLabels(f"the label {repeated!r} occurs twice. Make the names unique.")
    labels = zip(names, entries, strict=True)
    return tuple(Label(name=name, id=entry.id) for name, entry in labels), notes


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _check_name(index: int, name: str) -> None:
    if not name.strip():
        raise UnclearLabels(f"label {index} is empty. Give every class a name.")
    for character in name:
        if unicodedata.category(character) in ("Cs", "Cc"):
            kind = "half of a surrogate pair" if "\ud800" <= character <= "\udfff" else "control"
            raise UnclearLabels(
                f"label {index} holds the character U+{ord(character):04X}, which is no text "
                f"({kind}). Write the name again."
            )


def _summary(file: Path, labels: Sequence[Label], form: str, encoding: str, from_one: bool) -> str:
    shown = ", ".join(f"{index} {label.name}" for index, label in enumerate(labels[:_SHOWN]))
    more = ", …" if len(labels) > _SHOWN else ""
    details = [form]
    if from_one:
        details.append("which count from 1")
    if encoding != "UTF-8":
        details.append(f"read as {encoding}")
    return f"{file.name}: {len(labels)} labels, {', '.join(details)}: {shown}{more}"
