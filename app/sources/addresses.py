"""The kind of a source: braces and patterns in its name, and the kind of file that a name means.

{000..011} {a,b}    WebDataset's lists of shards
* ? [a-z] **        patterns, of paths and of addresses in object stores
"""

import re
from collections.abc import Iterator
from typing import Literal

from app.dataset.files import SUFFIXES
from app.errors import BadParameter

REMOTE = ("s3://", "gs://", "https://", "http://")
LISTED = ("s3://", "gs://")
"""Of these, what lies below an address can be listed."""
Kind = Literal["tar", "parquet"]
_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_PARQUET = (".parquet",)
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MAX_EXPANDED = 1_000_000
_SPECIAL = re.compile(r"[*?\[]")


def is_remote(address: str) -> bool:
    """Return whether an address leads to an object store or a server."""
    return address.startswith(REMOTE)


def shard_kind(name: str) -> Kind | None:
    """Return the kind of shard that a file name means; None: it is no shard."""
    plain = (name.partition("?")[0] if is_remote(name) else name).lower()
    if plain.endswith(_TAR):
        return "tar"
    return "parquet" if plain.endswith(_PARQUET) else None


def names_photo(name: str) -> bool:
    """Return whether a file name has the suffix of a photo."""
    dot = name.rfind(".")
    return dot > name.rfind("/") + 1 and name[dot:].lower() in SUFFIXES


def has_braces(source: str) -> bool:
    """Return whether a source is a list in braces."""
    return any(_RANGE.fullmatch(m[1]) or "," in m[1] for m in _BRACES.finditer(source))


def expand_braces(source: str) -> Iterator[str]:
    """Yield the names that the braces of a source mean, in order.

    Raises:
        BadParameter: they mean too many.
    """
    match = next(
        (m for m in _BRACES.finditer(source) if _RANGE.fullmatch(m[1]) or "," in m[1]), None
    )
    if match is None:
        yield source
        return
    before, after = source[: match.start()], source[match.end() :]
    for choice in _choices(match[1]):
        for rest in expand_braces(after):
            yield f"{before}{choice}{rest}"


def _choices(text: str) -> Iterator[str]:
    numbers = _RANGE.fullmatch(text)
    if numbers is None:
        yield from text.split(",")
        return
    first, last = int(numbers[1]), int(numbers[2])
    if last < first or last - first >= _MAX_EXPANDED:
        raise BadParameter(
            f"{{{text}}} must go up, and mean at most {_MAX_EXPANDED:,} names. Change the numbers."
        )
    width = len(numbers[1]) if numbers[1].startswith("0") else 0
    for number in range(first, last + 1):
        yield f"{number:0{width}}"


def is_hidden(path: str) -> bool:
    """Return whether a path below an address has a hidden part."""
    return any(part.startswith(".") for part in path.split("/") if part)


def has_pattern(source: str) -> bool:
    """Return whether a source is a pattern."""
    return _SPECIAL.search(source) is not None


def literal_part(pattern: str) -> str:
    """Return the folder above the first special character of a pattern, with its slash."""
    match = _SPECIAL.search(pattern)
    plain = pattern if match is None else pattern[: match.start()]
    return plain[: plain.rfind("/") + 1]


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern; `*` and `?` never match a slash."""
    parts, place = [], 0
    while place < len(pattern):
        rest = pattern[place:]
        if rest.startswith("**/"):
            parts.append("(?:.*/)?")
            place += 3
        elif rest.startswith("**"):
            parts.append(".*")
            place += 2
        elif (found := re.match(r"\[(!?)([^\]/]+)\]", rest)) is not None:
            inside = found[2].replace("\\", r"\\").replace("^", r"\^").replace("[", r"\[")
            parts.append(f"[{'^' if found[1] else ''}{inside}]")
            place += found.end()
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(rest[0], re.escape(rest[0])))
            place += 1
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error as err:
        raise BadParameter(f"{pattern} is no pattern ({err}). Correct its brackets.") from err
