"""Bring entries into the order of their indices.

    all entries have an index -> sorted; numbers from 1 become numbers from 0
    none has an index         -> the order of the file

Integer ids that begin at 0 or 1 are indices too: files call the same column `id` or `index`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from training.importing.labels.entry import Entry, UnclearLabels, integer


def in_order(entries: Sequence[Entry]) -> tuple[list[Entry], bool]:
    """Return the entries in the order of the model's output, and whether they count from 1.

    Raises:
        UnclearLabels: an index is missing, occurs twice, or is no index.
    """
    entries = _ids_as_indices(entries)
    indices = [entry.index for entry in entries if entry.index is not None]
    if not indices:
        return list(entries), False
    if len(indices) < len(entries):
        unnumbered = next(entry.name for entry in entries if entry.index is None)
        raise UnclearLabels(
            f"the label {unnumbered!r} has no index, and others have one. Number all, or none."
        )
    if doubles := [index for index, count in Counter(indices).items() if count > 1]:
        first, second = [entry.name for entry in entries if entry.index == doubles[0]][:2]
        raise UnclearLabels(
            f"the index {doubles[0]} occurs twice, for {first!r} and {second!r}. "
            f"Give each label its own index, 0 to {len(entries) - 1}."
        )
    start = 1 if 0 not in indices and 1 in indices else 0
    expected = range(start, start + len(indices))
    if missing := sorted(set(expected) - set(indices)):
        unexpected = next(index for index in indices if index not in expected)
        raise UnclearLabels(
            f"{len(indices)} labels are numbered, the index {missing[0]} is missing and "
            f"{unexpected} is not expected. Number them 0 to {len(indices) - 1}; if the numbers "
            "belong to the names, write the names as a JSON list."
        )
    return sorted(entries, key=lambda entry: entry.index or 0), start == 1


def _ids_as_indices(entries: Sequence[Entry]) -> Sequence[Entry]:
    numbers = [integer(entry.id) for entry in entries]
    stated = [number for number in numbers if number is not None]
    if any(entry.index is not None for entry in entries) or len(stated) < len(entries):
        return entries
    if not stated or min(stated) not in (0, 1):
        return entries
    return [
        replace(entry, index=number, id=None)
        for entry, number in zip(entries, numbers, strict=True)
    ]
