"""Compare a new version of a model with the serving one, from top to bottom.

both bundles -> verified; what each learnt from              predictions, app.bundle
DATA         -> photos, labels, pixels                       photos
             -> predictions by models that didn't learn from the photo
                                                             predictions, cross_fit
photos that have both -> figures -> verdict                  figures, paired, rule
                      -> labels of one version alone         labels
                      -> disagreements, as pictures          disagreements
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from app import bundle as bundles
from app.bundle import Bundle
from app.bundle.photo_record import photo_record
from app.dataset.label_table import Form
from app.dataset.split_names import Part
from app.jobs.comparison import Comparison, VersionFigures
from training.comparison import photos, predictions, rule
from training.comparison.photos import ComparedPhotos
from training.comparison.predictions import Learnt
from training.comparison.result import result_of, side_of
from training.contracts import Integers, ReportProgress
from training.report import comparison_page

ENOUGH = 1000
"""Photos that neither version learnt from with which none is cross-fitted."""


def compare(
    serving: Path,
    candidate: Path,
    data: Path,
    *,
    labels_from: Form | None = None,
    split: Mapping[str, Part] | None = None,
    unseen: bool = False,
    margin: float = rule.MARGIN,
    temporary: Path | None = None,
    report: Path | None = None,
    report_progress: ReportProgress = lambda _: None,
) -> Comparison:
    """Return the comparison of two bundles on labelled photos.

    Args:
        serving: the bundle that serves.
        candidate: the bundle of the new version.
        data: labelled photos, as `hubel train` reads them; those that a version was trained on may
            be among them.
        labels_from: where the labels come from; None: labels.csv if there is one, else folders.
        split: the part that each folder of the data holds, as in training.
        unseen: the caller knows that neither version learnt from any of the photos.
        margin: the loss of accuracy that counts as not worse.
        temporary: an existing folder for the pixels; None: the system's.
        report: a folder for a page about the comparison; None: no page.
        report_progress: called with each line of progress.

    Raises:
        BundleError: a bundle can't be read, or is damaged.
        DataUnusable: the photos or their labels can't be read.
    """
    both = bundles.load(serving), bundles.load(candidate)
    for bundle in both:
        bundles.verify_files(bundle)
    result = _compared(both, data, labels_from, split, unseen, margin, temporary, report_progress)
    if report is not None:
        comparison_page.write(result, both[1].manifest.name, report)
    return result


def _compared(
    both: tuple[Bundle, Bundle],
    data: Path,
    labels_from: Form | None,
    split: Mapping[str, Part] | None,
    unseen: bool,
    margin: float,
    temporary: Path | None,
    report_progress: ReportProgress,
) -> Comparison:
    if obstacle := _obstacle(both, unseen=unseen):
        return _not_comparable(both, obstacle, margin)
    with tempfile.TemporaryDirectory(prefix="hubel-compare-", dir=temporary) as folder:
        specs = [bundle.manifest.input for bundle in both]
        task = both[0].manifest.task
        read = photos.read(data, specs, task, Path(folder), report_progress, labels_from, split)
        of = [
            predictions.nothing_learnt(read) if unseen else predictions.learnt(bundle, read)
            for bundle in both
        ]
        rows = _rows_to_run(read, of)
        sides = [
            side_of(bundle, predictions.predict(bundle, read, what, rows))
            for bundle, what in zip(both, of, strict=True)
        ]
        return result_of(read, sides[0], sides[1], ~(of[0].touched | of[1].touched), margin)


def _obstacle(both: tuple[Bundle, Bundle], *, unseen: bool) -> str:
    """Return why the versions can't be compared at all; empty if they can."""
    serving, candidate = (bundle.manifest for bundle in both)
    if serving.task != candidate.task:
        return (
            f"Version {serving.version} is a {serving.task} model and version {candidate.version} "
            f"a {candidate.task} model."
        )
    if not {label.name for label in serving.labels} & {label.name for label in candidate.labels}:
        return "The two versions have no label in common."
    for bundle in both:
        if not unseen and photo_record(bundle) is None:
            return (
                f"The bundle of version {bundle.manifest.version} doesn't record which photos it "
                "learnt from, so none is known to be new to it."
            )
    return ""


def _not_comparable(both: tuple[Bundle, Bundle], reason: str, margin: float) -> Comparison:
    serving, candidate = (VersionFigures(version=each.manifest.version) for each in both)
    return Comparison(
        verdict="not_comparable",
        reason=reason,
        rule=rule.sentence(margin),
        margin=margin,
        serving=serving,
        candidate=candidate,
    )


def _rows_to_run(read: ComparedPhotos, of: list[Learnt]) -> Integers:
    """Return the photos that are run: those new to both if they are enough, else all."""
    new = np.flatnonzero(~(of[0].touched | of[1].touched))
    if len(np.unique(read.groups[new])) >= ENOUGH:
        return new
    return np.arange(len(read.photos))
