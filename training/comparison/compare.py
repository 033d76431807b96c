"""Compare a new version of a model with the serving one, from top to bottom.

both bundles -> verified; which photos each learnt from          app.bundle.photo_record
"""

from pathlib import Path

from app import bundle as bundles
from app.bundle import Bundle
from app.bundle.photo_record import photo_record
from app.dataset.label_table import Form
from app.jobs.comparison import Comparison, VersionFigures
from training.comparison.rule import RULE
from training.contracts import ReportProgress


def compare(
    serving: Path,
    candidate: Path,
    data: Path,
    *,
    labels_from: Form | None = None,
    report: Path | None = None,
    report_progress: ReportProgress = lambda _: None,
) -> Comparison:
    """Return the comparison of two bundles on labelled photos.

    Args:
        serving: the bundle that serves.
        candidate: the bundle of the new version.
        data: labelled photos, as `hubel train` reads them; those that the new version was trained
            on may be among them.
        labels_from: where the labels come from; None: labels.csv if there is one, else folders.
        report: a folder for a page about the comparison; None: no page.
        report_progress: called with each line of progress.

    Raises:
        BundleError: a bundle can't be read, or is damaged.
        DataUnusable: the photos or their labels can't be read.
    """
    del data, labels_from, report, report_progress
    versions = [bundles.load(folder) for folder in (serving, candidate)]
    for bundle in versions:
        bundles.verify_files(bundle)
        if photo_record(bundle) is None:
            return _not_comparable(versions, _without_record(bundle))
    return _not_comparable(versions, "Nothing was compared.")


def _without_record(bundle: Bundle) -> str:
    return (
        f"The bundle of version {bundle.manifest.version} doesn't record which photos it learnt "
        "from, so none is known to be new to it."
    )


def _not_comparable(versions: list[Bundle], reason: str) -> Comparison:
    serving, candidate = (VersionFigures(version=each.manifest.version) for each in versions)
    return Comparison(
        verdict="not_comparable", reason=reason, rule=RULE, serving=serving, candidate=candidate
    )
