"""Read ImageNet's labels, with unique names, from a table.

The table is tab-separated with a header. Its columns `synset` and `name` are read, and the number
of the row is the class index. imagenet_labels.tsv is ImageNet's: a name is the first lemma of its
synset, with a word added where that is ambiguous, as in crane (bird) and crane (machine).
"""

import csv
from pathlib import Path

from app.bundle import Label
from training.errors import DataUnusable

IMAGENET = Path(__file__).with_name("imagenet_labels.tsv")


def read(table: Path) -> tuple[Label, ...]:
    """Return the labels of `table`, in its order.

    Raises:
        DataUnusable: the table can't be read, lacks a column, or a name or an id occurs twice.
    """
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        labels = tuple(
            Label(name=row["name"].replace("_", " ").strip(), id=row["synset"]) for row in rows
        )
    except OSError as err:
        raise DataUnusable(f"{table} can't be read ({err.strerror}). Name a labels table.") from err
    except (KeyError, ValueError, AttributeError) as err:
        raise DataUnusable(
            f"{table} is not a labels table: every row needs a `synset` and a `name`."
        ) from err
    for kind, values in (
        ("name", [label.name.casefold() for label in labels]),
        ("synset", [label.id or "" for label in labels]),
    ):
        if twice := next((value for value in values if values.count(value) > 1), None):
            raise DataUnusable(f"{table}: the {kind} {twice!r} occurs twice. Make them unique.")
    return labels
