"""Labels in a document: JSON, a Python literal, or the same structure from YAML.

    ["cat", "dog"]                               in order
    {"0": "cat", "1": "dog"}                     by index
    {"cat": 0, "dog": 1}                         with their index (Keras's class_indices.json)
    {"0": ["n02123045", "tabby"]}                by index with an id (imagenet_class_index.json)
    [{"index": 0, "name": "cat", "id": "a"}]     objects
    {"id2label": {...}, "label2id": {...}}       Hugging Face's config.json
    {"labels": [...]}                            also names, classes, class_names, categories

An object is read as `Pairs`, not as a dict, so that a key that occurs twice is noticed.
"""

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

from training.importing.labels.entry import Entries, Entry, UnclearLabels, integer

NAME_KEYS = ("display_name", "class_name", "name", "label_name", "label", "class", "title")
INDEX_KEYS = ("index", "idx", "class_index", "class_id", "label_id", "label_index")
ID_KEYS = ("synset", "wnid", "id", "mid", "code")
_WRAPPERS = ("names", "labels", "classes", "class_names", "categories")
_ASSIGNMENT = re.compile(r"\s*[A-Za-z_]\w*\s*=\s*(?=[\[{(])")
_NUMBERED_LINE = re.compile(r"[\[(]\d+[\])][ \t]*\S")
"""A line such as `[0] cat`."""
_PAIR = 2


class Pairs(tuple[tuple[Any, Any], ...]):
    """The keys and values of an object, in order, doubles included."""

    __slots__ = ()

    def get(self, *keys: str) -> Any:
        """Return the value of the first of `keys` that occurs; None where none does."""
        values = dict(self)
        return next((values[key] for key in keys if values.get(key) is not None), None)


def is_document(text: str) -> bool:
    """Return whether `text` begins as JSON or a Python literal."""
    stripped = _ASSIGNMENT.sub("", text, count=1).lstrip()
    return stripped[:1] in ("[", "{", "(") and not _NUMBERED_LINE.match(stripped)


def read_document(text: str) -> Entries:
    """Return the entries of JSON or of a Python literal.

    Raises:
        UnclearLabels: it is neither, or holds no labels.
    """
    try:
        document = json.loads(text, object_pairs_hook=Pairs)
    except RecursionError as err:
        raise UnclearLabels("it is nested too deeply. Write a JSON list of labels.") from err
    except ValueError as err:
        document = _python_literal(text, err)
    return entries_of(document)


def entries_of(document: Any) -> Entries:
    """Return the entries of a document: a list, or `Pairs`.

    Raises:
        UnclearLabels: it holds no labels.
    """
    if isinstance(document, Pairs):
        if document.get("id2label", "label2id") is not None:
            return _hugging_face(document)
        for key in _WRAPPERS:
            if isinstance(inner := document.get(key), list | Pairs):
                return Entries(entries_of(inner).entries, f"of {key!r}")
        return _of_object(document)
    if not isinstance(document, list):
        raise UnclearLabels(f"{document!r} is no label. Write a JSON list of labels.")
    entries = [_entry(value) for value in document]
    is_numbered = any(entry.index is not None for entry in entries)
    return Entries(entries, "by their index" if is_numbered else "in the order of the list")


def _hugging_face(document: Pairs) -> Entries:
    parts = {key: document.get(key) for key in ("id2label", "label2id")}
    read = {key: _of_object(part).entries for key, part in parts.items() if isinstance(part, Pairs)}
    if not read:
        raise UnclearLabels("its id2label is no object. Write the labels as a JSON list.")
    by_index = [{entry.index: entry.name for entry in entries} for entries in read.values()]
    if (
        len(by_index) == _PAIR
        and len(by_index[0]) == len(by_index[1])
        and by_index[0] != by_index[1]
    ):
        index = next(i for i, name in by_index[0].items() if by_index[1].get(i) != name)
        raise UnclearLabels(
            f"id2label and label2id differ for the index {index}: {by_index[0][index]!r} and "
            f"{by_index[1].get(index)!r}. Remove the wrong one."
        )
    key, entries = next(iter(read.items()))
    return Entries(entries, f"by the index in {key}")


def _of_object(document: Pairs) -> Entries:
    """Return the entries of {index: label} or {name: index}."""
    if all(isinstance(value, int) and not isinstance(value, bool) for _, value in document):
        entries = [Entry(_name(key), index=value) for key, value in document]
        return Entries(entries, "with their index")
    indices = [integer(key) for key, _ in document]
    if None in indices:
        key = next(key for key, _ in document if integer(key) is None)
        raise UnclearLabels(
            f"its key {key!r} is no index, and its values are no indices. "
            'Write {"0": "cat", "1": "dog"}, or {"cat": 0, "dog": 1}.'
        )
    entries = []
    for index, (_, value) in zip(indices, document, strict=True):
        entry = _entry(value)
        entries.append(Entry(entry.name, index, entry.id))
    return Entries(entries, "by their index")


def _entry(value: Any) -> Entry:
    if isinstance(value, Pairs):
        name = value.get(*NAME_KEYS)
        index = value.get(*INDEX_KEYS)
        identity = value.get(*ID_KEYS)
        if index is not None and integer(index) is None:
            raise UnclearLabels(f"the index {index!r} is no whole number. Number labels from 0.")
        if name is None:
            keys = ", ".join(str(key) for key, _ in value) or "nothing"
            raise UnclearLabels(f'an object has {keys}, and no "name". Give each label a name.')
        return Entry(_name(name), integer(index), None if identity is None else str(identity))
    if isinstance(value, list) and len(value) == _PAIR:
        return _of_pair(value)
    return Entry(_name(value))


def _of_pair(pair: Sequence[Any]) -> Entry:
    """Return the entry of [id, name], or of a name and its index in either order."""
    for number, name in (pair, pair[::-1]):
        if isinstance(number, int) and not isinstance(number, bool):
            return Entry(_name(name), index=number)
    identity, name = pair
    return Entry(_name(name), id=_name(identity))


def _name(value: Any) -> str:
    if not isinstance(value, str):
        shown = "null" if value is None else repr(value)
        raise UnclearLabels(f"{shown} is no label. Write each name in quotes.")
    return value.strip()


def _python_literal(text: str, json_error: ValueError) -> Any:
    """Return the value of a Python literal, possibly assigned to a name."""
    try:
        tree = ast.parse(_ASSIGNMENT.sub("", text, count=1).strip(), mode="eval")
        return _value(tree.body)
    except UnclearLabels:
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError) as err:
        raise UnclearLabels(
            f"it is neither JSON ({json_error}) nor a Python dictionary or list. Write a label on "
            "each line, or a JSON list."
        ) from err


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise ValueError("a dictionary is unpacked")
        keys = [_value(key) for key in node.keys if key is not None]
        return Pairs(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(element) for element in node.elts]
    if isinstance(node, ast.Set):
        raise UnclearLabels("it is a Python set, which has no order. Write a list: [...].")
    return ast.literal_eval(node)
