"""Run `hubel calibrate`, from a bundle and labelled photos to the bundle with its thresholds.

    bundle -> verified -> its files, copied beside the output
    photos -> without those that the model learnt from, by the record in its bundle
           -> probabilities of each graph
           -> the rule for `unknown`, where the bundle has none        unknown
           -> the acceptance threshold, where a precision is promised  packaging.promise
    -> report, model card, bundle.json -> golden photos once more -> its place

The weights and the temperature stay as they are, and so do all probabilities.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app import bundle as bundles
from app.bundle import MODEL_CARD, Bundle, DecisionRule, Manifest, Precision, UnknownRule
from app.bundle.photo_record import DIGITS, photo_record
from app.dataset.label_table import Form
from app.runtime.session import Session
from app.runtime.verify import check_signature, require_golden, run_golden
from training import calibration, report
from training.contracts import ReportProgress
from training.data import duplicates
from training.data.groups import joined, whole_groups
from training.data.photos import fingerprint
from training.errors import DataUnusable
from training.existing_bundle import card, unknown
from training.importing import labelled_photos
from training.importing.labelled_photos import LabelledPhotos
from training.packaging import measure, promise, replacement, versions
from training.packaging.promise import HeldOut, Promise
from training.packaging.staging import folder_beside, report_kept, require_free
from training.parallel import run_graph
from training.recipes.backbone import DEFAULT_BUNDLE
from training.report.proportions import in_proportion

_MIN_PHOTOS = 20
"""With fewer photos the share that reaches a threshold says nothing."""
_REPORT = "report/index.html"
_OWN_REPORT = "thresholds.html"
"""The report of a bundle that has one of its training already."""


@dataclass(frozen=True)
class Arguments:
    """The arguments of the command."""

    bundle: Path
    data: Path
    output: Path
    """The bundle itself, if it is to be replaced."""
    name: str | None
    """None: the bundle's."""
    version: int | None
    """None: the bundle's."""
    seed: int
    promise: Promise | None = None
    """The precision of accepted predictions that is promised; None: nothing is."""
    labels_from: Form | None = None
    force: bool = False


@dataclass(frozen=True, eq=False)
class _Measured:
    """The photos, and the outputs of the graphs for them."""

    photos: LabelledPhotos
    groups: NDArray[np.intp]
    probabilities: dict[Precision, NDArray[np.float32]]
    familiarity: NDArray[np.floating] | None
    rule: UnknownRule | None
    is_new_rule: bool


def run(arguments: Arguments, report_progress: ReportProgress) -> Bundle:
    """Choose the thresholds and move the bundle, complete, to the output.

    Raises:
        DataUnusable: the photos or the arguments can't be used.
        PromiseUnattainable: no threshold keeps the promise.
        BundleError: the bundle can't be read, or is damaged.
    """
    source = bundles.load(arguments.bundle)
    bundles.verify_files(source)
    output = arguments.output
    if source.manifest.task != "single_label":
        raise DataUnusable(
            f"{arguments.bundle} is a multi-label model, whose labels have thresholds already. "
            "Name a bundle with one label for each photo."
        )
    if output.resolve() == DEFAULT_BUNDLE.resolve():
        raise DataUnusable(
            f"{arguments.bundle} is part of Hubel and stays as it is. Name an --output."
        )
    kept = require_free(output, arguments.data, force=arguments.force)
    manifest = source.manifest.model_copy(
        update={
            "name": arguments.name or source.manifest.name,
            "version": arguments.version or source.manifest.version,
        }
    )
    versions.require_unused(output, manifest.name, manifest.version)
    report_kept(kept, report_progress)
    with folder_beside(output) as temporary, folder_beside(output) as folder:
        _copy(source, folder)
        measured = _measure(arguments, source, folder, temporary, report_progress)
        decision = _decide(arguments, manifest, measured, report_progress)
        manifest = _with_thresholds(arguments, manifest, measured, decision)
        manifest = _write_documents(arguments, source, manifest, measured, folder)
        _verify(Bundle(folder, manifest))
        bundle = replacement.save(manifest, folder, output, report_progress)
    report_progress(versions.summary(bundle))
    return bundle


def _copy(source: Bundle, folder: Path) -> None:
    for name in (*source.manifest.files, MODEL_CARD):
        if source.path(name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.path(name), folder / name)


def _measure(
    arguments: Arguments,
    source: Bundle,
    folder: Path,
    temporary: Path,
    report_progress: ReportProgress,
) -> _Measured:
    """Run the graphs on the photos, and make the rule for `unknown` where there is none."""
    manifest = source.manifest
    photos = labelled_photos.read(
        arguments.data,
        manifest.labels,
        manifest.input,
        temporary,
        arguments.seed,
        report_progress,
        labels_from=arguments.labels_from,
    )
    if len(photos.truth) < _MIN_PHOTOS:
        raise DataUnusable(
            f"{arguments.data} has {len(photos.truth)} photos that can be used, and thresholds "
            f"need {_MIN_PHOTOS} at least. Add some."
        )
    photos, groups = _new_to_the_model(arguments, source, photos, report_progress)
    examples = photos.examples
    sessions: dict[Precision, Session] = {
        which: Session(source.model_path(which), "cpu", which) for which in manifest.precisions
    }
    probabilities = {which: photos.run(session) for which, session in sessions.items()}
    if manifest.unknown is None:
        new = unknown.add_rule(
            photos, groups, sessions, probabilities["fp32"], folder, arguments.seed
        )
        report_progress(
            f"unknown: {new.rule.score.replace('_', ' ')} under {new.rule.threshold:.3f}, which "
            f"{100 * new.rule.accepts:.1f} % of {len(examples.truth)} photos reach"
        )
        return _Measured(photos, groups, probabilities, new.familiarity, new.rule, True)
    scores = None
    if manifest.unknown.score == "familiarity":
        rows = examples.rows.tolist()
        (scores,) = run_graph(sessions["fp32"], ["familiarity"], photos.pixels, rows, "familiarity")
    return _Measured(photos, groups, probabilities, scores, manifest.unknown, False)


def _new_to_the_model(
    arguments: Arguments,
    source: Bundle,
    photos: LabelledPhotos,
    report_progress: ReportProgress,
) -> tuple[LabelledPhotos, NDArray[np.intp]]:
    """Return the photos that the model didn't learn from, and the group of each, (N,).

    A bundle without a record of its photos recognises only the whole set of them.

    Raises:
        DataUnusable: too few are left.
    """
    examples = photos.examples
    look_the_same = duplicates.find(examples.photos, photos.pixels).group_of
    groups = joined(look_the_same, [photo.file.group for photo in examples.photos])
    record = photo_record(source)
    if record is None:
        is_own_set = fingerprint(examples.photos) == source.manifest.training.data
        learnt = np.full(len(examples.photos), is_own_set)
    else:
        parts = [record.get(photo.sha256[:DIGITS]) for photo in examples.photos]
        learnt = whole_groups(np.array([part not in (None, "test") for part in parts]), groups)
    count, left = int(learnt.sum()), int((~learnt).sum())
    if left < _MIN_PHOTOS:
        raise DataUnusable(
            f"The model was trained on {count} of the {len(learnt)} photos of {arguments.data}, so "
            f"they can't show how often it is right. Thresholds need {_MIN_PHOTOS} others at "
            "least. Add some, or train again with --accept-precision."
        )
    if count:
        report_progress(
            f"{count} of {len(learnt)} photos are left out: the model learnt from them, or from "
            "photos that look the same or are in their group"
        )
    return photos.only(~learnt), groups[~learnt]


def _decide(
    arguments: Arguments,
    manifest: Manifest,
    measured: _Measured,
    report_progress: ReportProgress,
) -> DecisionRule | None:
    """Return the rule that keeps the promise; without one the bundle's own."""
    if arguments.promise is None:
        return manifest.decision
    held_out = HeldOut(
        truth=measured.photos.truth,
        groups=measured.groups,
        probabilities=measured.probabilities,
        familiarity=measured.familiarity,
        on=measured.photos.examples.data_name,
    )
    labels = [label.name for label in manifest.labels]
    decision = promise.decision_rule(held_out, arguments.promise, measured.rule, labels)
    report_progress(promise.summary(decision))
    return decision


def _with_thresholds(
    arguments: Arguments,
    manifest: Manifest,
    measured: _Measured,
    decision: DecisionRule | None,
) -> Manifest:
    """Return the manifest with the thresholds, and with the photos that they come from."""
    made_by: dict[str, Any] = {
        "data": measured.photos.examples.data_name,
        "fingerprint": fingerprint(measured.photos.examples.photos),
        "photos": len(measured.photos.truth),
        "seed": arguments.seed,
    }
    if arguments.promise is not None:
        made_by["accept_precision"] = arguments.promise.precision
        made_by["accept_per_class"] = arguments.promise.per_class
    training = manifest.training.model_copy(
        update={"arguments": {**manifest.training.arguments, "thresholds": made_by}}
    )
    baseline = manifest.baseline
    if baseline is not None:  # its decisions are those of the former thresholds
        baseline = baseline.model_copy(update={"decisions": None})
    return manifest.model_copy(
        update={
            "unknown": measured.rule,
            "decision": decision,
            "baseline": baseline,
            "training": training,
        }
    )


def _write_documents(
    arguments: Arguments, source: Bundle, manifest: Manifest, measured: _Measured, folder: Path
) -> Manifest:
    """Write report and model card, and return the manifest with the files that there are now."""
    has_report = _REPORT in source.manifest.files
    file = _OWN_REPORT if has_report else report.INDEX
    report.write(_content(arguments, manifest, measured), folder / "report", file)
    if has_report:
        _link(folder / _REPORT)
    names = sorted({*source.manifest.files, f"report/{file}"})
    updates: dict[str, Any] = {"files": bundles.record_files(folder, names)}
    path = folder / MODEL_CARD
    if path.is_file():
        before = bundles.record_files(folder, [MODEL_CARD])[MODEL_CARD].sha256
        text = card.with_thresholds(
            path.read_text("utf-8"),
            manifest,
            measured.photos.examples.data_name,
            measured.is_new_rule,
        )
        path.write_text(text, encoding="utf-8")
        if before == source.manifest.model_card_sha256:  # else it was edited, and counts as such
            after = bundles.record_files(folder, [MODEL_CARD])[MODEL_CARD].sha256
            updates["model_card_sha256"] = after
    return manifest.model_copy(update=updates)


def _content(arguments: Arguments, manifest: Manifest, measured: _Measured) -> report.Content:
    examples, pixels = measured.photos.examples, measured.photos.pixels
    first = measured.probabilities["fp32"]
    name = examples.data_name
    uncalibrated = None
    if manifest.calibration is not None:
        floor = np.finfo(np.float32).tiny
        logits = np.log(np.maximum(first.astype(np.float64), floor))
        uncalibrated = calibration.softmax(logits * manifest.calibration.temperature)
    scores = measured.familiarity
    if scores is None and measured.rule is not None:
        scores = first.max(axis=1)
    return report.Content(
        manifest=manifest,
        measured_on=name,
        figures={
            which: measure.metrics(rows, examples.truth, name)
            for which, rows in measured.probabilities.items()
        },
        truth=examples.truth,
        probabilities=measured.probabilities,
        names=[photo.file.name for photo in examples.photos],
        thumbnails=lambda index: in_proportion(
            pixels[examples.rows[index]], manifest.input, examples.photos[index]
        ),
        uncalibrated=uncalibrated,
        scores=scores,
        chose_thresholds=arguments.promise is not None,
    )


def _link(index: Path) -> None:
    """Put a link to the new report into the report of the training, once."""
    text = index.read_text("utf-8")
    if _OWN_REPORT not in text:
        note = (
            '<p class="note">After this report was written, <code>hubel calibrate</code> chose the '
            f'thresholds: <a href="{_OWN_REPORT}">report about them</a>.</p>'
        )
        index.write_text(text.replace("<main>", f"<main>\n{note}", 1), encoding="utf-8")


def _verify(bundle: Bundle) -> None:
    """Verify the graphs as the service does, with the new outputs."""
    for precision in bundle.manifest.precisions:
        session = Session(bundle.model_path(precision), "cpu", precision)
        check_signature(session, bundle)
        require_golden(run_golden(session, bundle), session)
