"""The labels of a YAML file, such as `names` in the data.yaml of Ultralytics.

    names:            names:          names: [cat, dog]     names: {0: cat, 1: dog}
      0: cat            - cat
      1: dog            - dog

Only these forms are read, by hand: PyYAML is no dependency, and it turns a label `no` into False.
"""

import json
import re
from typing import Any

from training.importing.labels.documents import Pairs, entries_of
from training.importing.labels.entry import Entries, UnclearLabels, integer

_KEY = re.compile(r"^(names|classes|class_names|labels)[ \t]*:(?=\s|$)(.*)$", re.MULTILINE)
_COUNT = re.compile(r"^(nc|num_classes)[ \t]*:[ \t]*(\d+)[ \t]*(#.*)?$", re.MULTILINE)
_ITEM = re.compile(r"""^[ \t]*(?:-[ \t]+|((?:"[^"]*"|'[^']*'|[^:#]+?))[ \t]*:(?:[ \t]+|$))(.*)$""")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_FLOW_PART = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,]+""")
_ADVICE = "Write `names:` with a label on each line, as `  0: cat`."


def is_yaml(text: str) -> bool:
    """Return whether `text` has a key for names, or nothing but items with dashes."""
    lines = [line for line in text.split("\n") if line.strip()]
    is_list = bool(lines) and all(line.startswith("- ") for line in lines)
    return is_list or _KEY.search(text) is not None


def read_yaml(text: str) -> Entries:
    """Return the entries below the key `names`, or of a list without a key.

    Raises:
        UnclearLabels: they are in another form, or `nc` states another number.
    """
    match = _KEY.search(text)
    if match is None:
        return entries_of(_block(text.split("\n")))
    key, rest = match[1], _COMMENT.sub("", match[2]).strip()
    following = text[match.end() :].split("\n")[1:]
    document = _flow(rest, following) if rest else _block(following)
    if not document:
        raise UnclearLabels(f"its key {key!r} holds no labels. {_ADVICE}")
    count = _COUNT.search(text)
    if count is not None and int(count[2]) != len(document):
        raise UnclearLabels(
            f"{count[1]} is {count[2]}, and {key!r} has {len(document)} labels. Correct one of "
            "them."
        )
    return Entries(entries_of(document).entries, f"of {key!r}")


def _block(lines: list[str]) -> Any:
    """Return the list or the pairs of the indented lines, or lines with dashes, that follow."""
    keys: list[str] = []
    values: list[str] = []
    for line in lines:
        if not _COMMENT.sub("", line).strip():
            continue
        if not line.startswith((" ", "\t", "- ")):
            break
        item = _ITEM.match(line)
        if item is None:
            raise UnclearLabels(f"the line {line.strip()!r} is no item of `names`. {_ADVICE}")
        keys.append(_scalar(item[1] or ""))
        values.append(_scalar(item[2]))
    return _document(keys, values)


def _flow(rest: str, following: list[str]) -> Any:
    """Return the list or the pairs between brackets, which may go over several lines."""
    opening, closing = rest[0], {"[": "]", "{": "}"}.get(rest[0])
    if closing is None:
        raise UnclearLabels(f"`names` is {rest!r}, which is no list. {_ADVICE}")
    inside = [rest[1:]]
    for line in following:
        if closing in inside[-1]:
            break
        inside.append(_COMMENT.sub("", line))
    content, found, _ = " ".join(inside).rpartition(closing)
    if not found:
        raise UnclearLabels(f"the bracket after `names` is not closed. {_ADVICE}")
    parts = [part.strip() for part in _FLOW_PART.findall(content) if part.strip()]
    if opening == "[":
        return [_scalar(part) for part in parts]
    items = [part.partition(":") for part in parts]
    return _document([_scalar(key) for key, _, _ in items], [_scalar(v) for _, _, v in items])


def _document(keys: list[str], values: list[str]) -> Any:
    if not any(keys):
        return values
    if all(integer(value) is not None for value in values) and any(
        integer(key) is None for key in keys
    ):
        return Pairs((key, integer(value)) for key, value in zip(keys, values, strict=True))
    return Pairs(zip(keys, values, strict=True))


def _scalar(text: str) -> str:
    """Return a plain or quoted scalar as text."""
    text = text.strip()
    if text[:1] == '"':
        end = re.match(r'"(?:[^"\\]|\\.)*"', text)
        try:
            return str(json.loads(end[0] if end else text))
        except ValueError as err:
            raise UnclearLabels(f"{text} is no quoted label ({err}). {_ADVICE}") from err
    if text[:1] == "'":
        end = re.match(r"'(?:[^']|'')*'", text)
        return (end[0] if end else text)[1:-1].replace("''", "'")
    return _COMMENT.sub("", text).strip()
