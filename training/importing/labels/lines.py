"""Labels on lines of their own, plain or with their index or id.

    cat            0 cat      0: cat      cat,0      n02123045 tabby
    dog            1 dog      1: dog      dog,1      n02124075 Egyptian cat

If every line begins with a number, the numbers are indices. A gap is then an error, and never a
reason to take the numbers for a part of the names.
"""

import re

from training.importing.labels.entry import Entries, Entry, UnclearLabels

_NUMBERED = re.compile(r"[\[(]?(\d{1,9})(?:[\])]?\s*[:=,;|\t]\s*|[.\])]\s+|\s+-\s+|\s+)(\S.*)")
_NUMBER_LAST = re.compile(r"(\S.*?)\s*[:=,;|\t]\s*(\d{1,9})")
_SYNSET = re.compile(r"(n\d{8})[\s,]+(\S.*)")
_PROTOBUF = re.compile(r"^\s*item\s*\{", re.MULTILINE)


def read_lines(text: str) -> Entries:
    """Return the entries of lines.

    Raises:
        UnclearLabels: some lines have an index and others have none.
    """
    if _PROTOBUF.search(text):
        raise UnclearLabels("it is a label map in protobuf text. Write a label on each line.")
    lines = [line.strip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    filled = [line for line in lines if line]
    numbered = [match for line in filled if (match := _NUMBERED.fullmatch(line))]
    if filled and len(numbered) == len(filled):
        entries = [Entry(_unquoted(match[2]), index=int(match[1])) for match in numbered]
        return Entries(entries, "by the index on each line")
    if len(numbered) > len(filled) / 2 and _are_indices([int(m[1]) for m in numbered], len(filled)):
        unnumbered = next(line for line in filled if not _NUMBERED.fullmatch(line))
        raise UnclearLabels(
            f"the line {unnumbered!r} has no index, and others have one. Number all, or none."
        )
    last = [match for line in filled if (match := _NUMBER_LAST.fullmatch(line))]
    if filled and len(last) == len(filled):
        entries = [Entry(_unquoted(match[1]), index=int(match[2])) for match in last]
        return Entries(entries, "by the index on each line")
    synsets = [match for line in filled if (match := _SYNSET.fullmatch(line))]
    if filled and len(synsets) == len(filled):
        entries = [Entry(match[2], id=match[1]) for match in synsets]
        return Entries(entries, "in the order of its lines, with synsets")
    return Entries([Entry(line) for line in lines], "in the order of its lines")


def _are_indices(numbers: list[int], count: int) -> bool:
    return len(set(numbers)) == len(numbers) and max(numbers) <= count


def _unquoted(name: str) -> str:
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        return name[1:-1]
    return name
