"""The findings about a data folder: what is unusual in it, with the names of the files.

    a `Finding` for each kind of problem -> lines for the terminal
                                         -> report, model card

The terminal shows the first few names of a finding, the report may show all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "unusable",
    "first frame",
    "copies",
    "two labels",
    "near duplicates",
    "near, two labels",
    "leak",
    "groups",
    "group leak",
    "alike",
    "tiny",
    "imbalance",
    "empty part",
    "empty class",
    "nested",
    "stray",
    "unlabelled",
    "none",
    "missing",
    "rows differ",
    "spelling",
    "small",
    "odd name",
]

_SHOWN = 4
LIST = "report/findings.txt"
"""The file of the bundle that has all names of the findings."""
_CLASSES_SHOWN = 12


@dataclass(frozen=True)
class Finding:
    """One kind of problem, and the files that have it."""

    kind: Kind
    says: str
    names: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...] = ()
    """For photos that belong together, such as copies: the files of each group, as in `names`."""

    def line(self) -> str:
        """Return a line for the terminal: the problem and the first few names."""
        shown = "; ".join(self.names[:_SHOWN])
        rest = len(self.names) - _SHOWN
        more = f"; and {rest} more, listed in {LIST}" if rest > 0 else ""
        return f"{self.says} ({len(self.names)}): {shown}{more}"


@dataclass(frozen=True)
class Findings:
    """All findings about a data folder, with counts of its photos."""

    files: int
    photos: Mapping[str, int]
    """The number of photos that are used, by class."""
    formats: Mapping[str, int]
    found: tuple[Finding, ...]
    several_labels_of: int | None = None
    """The number of photos that are used, where each may have several labels; None: one each."""

    @property
    def used(self) -> int:
        """The number of photos that are used."""
        if self.several_labels_of is not None:
            return self.several_labels_of
        return sum(self.photos.values())

    @property
    def unit(self) -> str:
        """What photos are counted by."""
        return "classes" if self.several_labels_of is None else "labels"

    def lines(self) -> list[str]:
        """Return the lines for the terminal."""
        named = [f"{label} {count}" for label, count in self.photos.items()]
        classes = ", ".join(named[:_CLASSES_SHOWN])
        if len(named) > _CLASSES_SHOWN:
            classes += f", and {len(named) - _CLASSES_SHOWN} more"
        formats = ", ".join(f"{count} {name}" for name, count in self.formats.items())
        return [
            f"{self.files} files ({formats}); {self.used} photos used",
            f"{len(self.photos)} {self.unit}: {classes}",
            *(finding.line() for finding in self.found),
        ]

    def full_list(self) -> str:
        """Return the names of all findings, a line each; empty if `lines` shows them all."""
        if all(len(finding.names) <= _SHOWN for finding in self.found):
            return ""
        blocks = [
            "\n".join([f"{finding.says} ({len(finding.names)}):", *finding.names])
            for finding in self.found
        ]
        return "\n\n".join(blocks) + "\n"
