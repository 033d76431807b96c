"""An entry of a label file: a name, and the index and the id that the file states for it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_INTEGER = re.compile(r"[+-]?\d{1,9}")


class UnclearLabels(ValueError):
    """The labels can't be read; the message says why and what to do, without the file's name."""


@dataclass(frozen=True)
class Entry:
    """A label as a file states it."""

    name: str
    index: int | None = None
    """The stated position in the model's output."""
    id: str | None = None
    """A stable identifier, such as ImageNet's synset."""


@dataclass(frozen=True)
class Entries:
    """The entries of a file, in the order in which they stand there."""

    entries: Sequence[Entry]
    form: str
    """The format in words, as "by the index in id2label"."""


def integer(text: object) -> int | None:
    """Return the integer that `text` is or spells; None for anything else."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    if isinstance(text, str) and _INTEGER.fullmatch(text.strip()):
        return int(text)
    return None
