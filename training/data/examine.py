"""Examine the photos of a data folder: which are used, and what is unusual in them.

    files, photos, duplicates -> the photos that are used
                              -> a finding for each kind of problem          findings

Of several copies one is used. A file whose copy has another label is left out with that copy, since
one of the labels must be wrong. Test photos are examined, too.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from training.data.duplicates import ALIKE, Duplicates
from training.data.findings import Finding, Findings, Kind
from training.data.layout import Dataset, Part
from training.data.photos import Photo, Unusable

TINY_SIDE = 64
"""Photos with a side under this, in pixels, count as tiny."""
IMBALANCE = 5.0
"""The ratio of the largest to the smallest class from which classes count as unequal."""


def used(photos: Sequence[Photo], duplicates: Duplicates) -> list[int]:
    """Return the indices of the photos that are used."""
    left_out: set[int] = set()
    for group in duplicates.exact:
        if _labels(photos, group) > 1:
            left_out.update(group)
            continue
        first: dict[object, int] = {}
        for index in group:  # a copy in another part of a given split stays there
            if first.setdefault(photos[index].file.part, index) != index:
                left_out.add(index)
    return [index for index in range(len(photos)) if index not in left_out]


def collect(
    dataset: Dataset, photos: Sequence[Photo], unusable: Sequence[Unusable], duplicates: Duplicates
) -> Findings:
    """Return all findings, by topic."""
    kept = [photos[index] for index in used(photos, duplicates)]
    is_multi_label = dataset.task == "multi_label"
    by_class = Counter(
        label
        for photo in kept
        for label in (photo.file.labels if is_multi_label else (photo.file.label,))
    )
    formats = Counter(photo.format.upper() for photo in photos)
    found = [
        *_about_files(unusable, photos),
        *_about_duplicates(photos, duplicates),
        *_about_groups(kept),
        _about_parts(dataset, kept),
        *_about_folders(dataset),
        *_about_balance(by_class),
    ]
    return Findings(
        files=len(dataset.files),
        photos={label: by_class[label] for label in dataset.labels},
        several_labels_of=len(kept) if is_multi_label else None,
        formats=dict(formats.most_common()),
        found=tuple(finding for finding in found if finding.names),
    )


def _about_files(unusable: Sequence[Unusable], photos: Sequence[Photo]) -> list[Finding]:
    tiny = [photo for photo in photos if min(photo.width, photo.height) < TINY_SIDE]
    gifs = [photo.file.name for photo in photos if photo.format == "gif"]
    return [
        Finding(
            "unusable",
            "Files that can't be used, skipped",
            tuple(f"{file.file.name} ({file.reason.removesuffix('.')})" for file in unusable),
        ),
        Finding("first frame", "GIFs, of which the first frame is used", tuple(gifs)),
        Finding(
            "tiny",
            f"Photos under {TINY_SIDE} pixels high or wide",
            tuple(f"{photo.file.name} ({photo.width}x{photo.height})" for photo in tiny),
        ),
    ]


def _about_duplicates(photos: Sequence[Photo], duplicates: Duplicates) -> list[Finding]:
    exact = {tuple(group) for group in duplicates.exact}
    near = [group for group in duplicates.alike if tuple(group) not in exact]
    conflicts = [group for group in duplicates.exact if _labels(photos, group) > 1]
    near_conflicts = [group for group in near if _labels(photos, group) > 1]
    leaks = [group for group in duplicates.alike if len({photos[i].file.part for i in group}) > 1]

    def has_two_in_one_part(group: Sequence[int]) -> bool:
        return len({photos[index].file.part for index in group}) < len(group)

    def finding(kind: Kind, says: str, groups: Sequence[Sequence[int]]) -> Finding:
        files = tuple(tuple(photos[index].file.name for index in group) for group in groups)
        return Finding(kind, says, tuple(" = ".join(group) for group in files), files)

    return [
        finding("two labels", "The same photo under two labels, left out", conflicts),
        finding(
            "copies",
            "Copies of one file, of which one is used",
            [
                group
                for group in duplicates.exact
                if group not in conflicts and has_two_in_one_part(group)
            ],
        ),
        finding(
            "near, two labels",
            "Photos that look the same under two labels; check them",
            near_conflicts,
        ),
        finding(
            "near duplicates",
            "Photos that look the same, kept on one side of the split",
            [group for group in near if group not in near_conflicts],
        ),
        finding(
            "leak",
            "The same photo in two parts of the given split, so figures are too high",
            leaks,
        ),
        Finding("alike", *_about_likeness(duplicates)),
    ]


def _about_groups(photos: Sequence[Photo]) -> list[Finding]:
    parts: defaultdict[str, set[Part | None]] = defaultdict(set)
    for photo in photos:
        parts[photo.file.group].add(photo.file.part)
    every = Counter(photo.file.group for photo in photos if photo.file.group)
    counts = {name: count for name, count in every.items() if count > 1}
    return [
        Finding(
            "groups",
            "Groups by the table, each kept on one side of the split",
            tuple(f"{name} {count}" for name, count in counts.items() if len(parts[name]) == 1),
        ),
        Finding(
            "group leak",
            "Groups with photos in two parts of the given split, so figures are too high",
            tuple(f"{name} {count}" for name, count in counts.items() if len(parts[name]) > 1),
        ),
    ]


def _about_likeness(duplicates: Duplicates) -> tuple[str, tuple[str, ...]]:
    """Return what a set of photos that are alike by nature means for near duplicates."""
    likeness = f"correlation of two coarse pictures {duplicates.likeness:.2f}"
    if not duplicates.bound:
        return (
            "Photos so alike that near duplicates can't be told from different photos; only copies "
            "of one file are recognised, and figures may be too high",
            (likeness,),
        )
    if duplicates.likeness >= ALIKE:
        return (
            "Photos alike by nature, as X-rays or forms are; two count as the same only where "
            "their detail agrees",
            (likeness,),
        )
    return "", ()


def _about_parts(dataset: Dataset, photos: Sequence[Photo]) -> Finding:
    with_photos = {photo.file.part for photo in photos}
    return Finding(
        "empty part",
        "Parts of the given split without any photo that is used; they are split off train instead",
        tuple(part for part in dataset.given if part not in with_photos),
    )


def _about_folders(dataset: Dataset) -> list[Finding]:
    odd = [
        label for label in dataset.labels if not label.isascii() or label != "".join(label.split())
    ]
    none = [
        file.name for file in dataset.files if dataset.task == "multi_label" and not file.labels
    ]
    without_labels = tuple(none)
    return [
        Finding("empty class", "Folders without any file, left out as classes", dataset.empty),
        Finding("nested", "Folders inside a class; their photos count for it", dataset.nested),
        Finding("stray", "Outside any class's folder, skipped", dataset.stray),
        Finding("unlabelled", "Photos without a label, skipped", dataset.unlabelled),
        Finding("none", "Photos without any label, used as such", without_labels),
        Finding("missing", "Listed in the table of labels, but not there", dataset.missing),
        Finding(
            "rows differ",
            "Listed in several rows with different labels, "
            + ("all of which are used" if dataset.task == "multi_label" else "left out"),
            dataset.contradictory,
        ),
        Finding(
            "spelling",
            "Names that differ in case or Unicode normalisation alone, taken as one",
            dataset.spelling,
        ),
        Finding("small", "Classes with too few photos, left out (--skip-small)", dataset.small),
        Finding("odd name", "Class names with spaces or letters beyond ASCII", tuple(odd)),
    ]


def _about_balance(by_class: Mapping[str, int]) -> list[Finding]:
    if not by_class:
        return []
    ranked = sorted(by_class, key=lambda label: (by_class[label], label))
    smallest, largest = ranked[0], ranked[-1]
    if by_class[largest] < IMBALANCE * by_class[smallest]:
        return []
    ratio = by_class[largest] / by_class[smallest]
    says = f"Unequal classes: the largest has {ratio:.0f} times the photos of the smallest"
    ends = tuple(f"{label} {by_class[label]}" for label in (largest, smallest))
    return [Finding("imbalance", says, ends)]


def _labels(photos: Sequence[Photo], group: Sequence[int]) -> int:
    return len({photos[index].file.label for index in group})
