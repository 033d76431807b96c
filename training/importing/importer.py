"""Run `hubel import`, from an ONNX file to a bundle.

    ONNX file, labels -> a classifier whose input and output are known   classifier_file
         -> wrapped, for any number of images    a parity miss ends it   verification
         -> photos, where there are some -> temperature                  labelled_photos
         -> int8                                 left out on a missed gate
         -> golden photos, figures, report, model card, bundle.json      packaging

Parity: for the same photos, the wrapped graph has the probabilities of the original file, whose
input is normalised with NumPy.
"""

import hashlib
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from app.bundle import MODEL_FILES, Bundle, Calibration, InputSpec, Label, Precision
from app.runtime.session import Session
from training import calibration, thresholds
from training.calibration import Temperatures
from training.contracts import ReportProgress
from training.data.photos import fingerprint
from training.errors import DataUnusable
from training.importing import (
    classifier_file,
    int8_graph,
    label_decisions,
    labelled_photos,
    onnx_file,
    reference_file,
    script_parity,
    wrap,
)
from training.importing.classifier_file import ClassifierFile
from training.importing.exported import (
    ImportedGraphs,
    logits_of,
    metrics,
    record_golden,
    report_content,
)
from training.importing.image_input import describe
from training.importing.label_decisions import LabelDecisions
from training.importing.labelled_photos import LabelledPhotos
from training.importing.presets import StatedPreprocessing
from training.importing.script_parity import ScriptParity
from training.importing.source import StatedProperties
from training.importing.verification import Verified, wrap_and_verify
from training.importing.wrap import Wrapped
from training.packaging import measure, model_card, versions
from training.packaging.build import ManifestFields, TrainingOrigin, build_bundle
from training.packaging.staging import folder_beside, report_kept, require_free

_MIN_CALIBRATION_PHOTOS = 10
"""At least this many photos, so that each of the five folds has two."""


@dataclass(frozen=True)
class Arguments:
    """The arguments of the command."""

    model: Path
    labels: Path
    output: Path
    properties: StatedProperties
    preprocessing: StatedPreprocessing
    name: str
    version: int
    seed: int
    force: bool = False
    """Whether foreign files in the output are kept beside the bundle, or end the import."""
    calibrate: Path | None = None
    int8: Path | None = None
    references: tuple[str, ...] = ()
    """The values of --reference."""
    reference_tolerance: float = script_parity.DEFAULT_TOLERANCE


@dataclass(frozen=True, eq=False)
class _Import:
    """The inputs of the import, and the folders that it works in."""

    arguments: Arguments
    classifier: ClassifierFile
    folder: Path
    """The folder that becomes the bundle."""
    temporary: Path
    report_progress: ReportProgress

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels of the bundle."""
        return self.classifier.labels

    @property
    def spec(self) -> InputSpec:
        """The input of the bundle."""
        return self.classifier.spec

    @property
    def file(self) -> Path:
        """The fp32 graph."""
        return self.folder / MODEL_FILES["fp32"]


def run(arguments: Arguments, report_progress: ReportProgress) -> Bundle:
    """Make a bundle of an ONNX file and move it, complete, to the output.

    Raises:
        DataUnusable: the file, labels, photos or arguments can't be used, or something is missing.
        GateMissed: the wrapped graph's probabilities differ from the file's.
    """
    began = time.monotonic()
    model = onnx_file.load(arguments.model)
    folders = [folder for folder in (arguments.calibrate, arguments.int8) if folder is not None]
    inputs = (arguments.model, arguments.labels, *folders)
    kept = require_free(arguments.output, *inputs, force=arguments.force)
    versions.require_unused(arguments.output, arguments.name, arguments.version)
    report_kept(kept, report_progress)
    with (
        folder_beside(arguments.output) as temporary,
        folder_beside(arguments.output) as folder,
    ):
        classifier = classifier_file.read(
            model,
            arguments.labels,
            arguments.properties,
            arguments.preprocessing,
            temporary,
            report_progress,
        )
        work = _Import(arguments, classifier, folder, temporary, report_progress)
        exported = _export(work)
        measured = exported.measured
        bundle = build_bundle(
            ManifestFields(
                name=arguments.name,
                version=arguments.version,
                **_decisions(exported),
                labels=work.labels,
                input=work.spec,
                golden=record_golden(exported, work.labels, work.spec, folder, temporary),
                metrics=metrics(exported),
                calibration=exported.calibration,
                baseline=measure.baseline(
                    exported.probabilities["fp32"],
                    thresholds=exported.decisions.thresholds if exported.decisions else None,
                )
                if measured
                else None,
                origin=_origin(work, exported, began),
            ),
            folder,
            arguments.output,
            report_content=partial(report_content, measured, exported) if measured else None,
            model_card=partial(
                model_card.imported,
                exported.has_head,
                exported.has_embedding,
                exported.int8_line,
                measured is not None,
            ),
            report_progress=report_progress,
        )
    report_progress(versions.summary(bundle))
    return bundle


def _decisions(exported: ImportedGraphs) -> dict[str, Any]:
    """Return the fields of the manifest by which a multi-label model decides about its labels."""
    if exported.decisions is None:
        return {}
    levels = exported.decisions.thresholds
    return {
        "task": "multi_label",
        "thresholds": levels,
        "undecided": tuple(map(thresholds.band, levels)),
    }


def _export(work: _Import) -> ImportedGraphs:
    """Write the graphs into the bundle's folder, and run them on photos where there are some."""
    classifier = work.classifier
    verified = wrap_and_verify(
        classifier.source,
        classifier.preparation,
        classifier.form,
        classifier.expected,
        classifier.pixels,
        work.file,
    )
    work.report_progress(_summary(classifier, verified))
    fp32 = Session(work.file, "cpu", "fp32")
    parity = _compare_with_script(work, fp32)
    sets = _read_sets(work)
    temperatures, calibrated = None, None
    is_multi_label = classifier.form.task == "multi_label"
    decisions = LabelDecisions.uncalibrated(len(work.labels)) if is_multi_label else None
    measured = sets.get(work.arguments.calibrate)
    if measured is not None and is_multi_label:
        fp32, decisions = _calibrate_labels(work, measured, verified.wrapped, fp32)
        calibrated = decisions.figures
    elif measured is not None:
        fp32, temperatures, calibrated = _calibrate(work, measured, verified.wrapped, fp32)
    sessions: dict[Precision, Session] = {"fp32": fp32}
    message = "int8 was not requested (--int8)"
    int8_set = sets.get(work.arguments.int8)
    if int8_set is not None:
        int8, message = _int8(work, verified, int8_set, fp32, decisions)
        work.report_progress(message)
        if int8 is not None:
            sessions["int8"] = int8
    measured = measured or int8_set
    return ImportedGraphs(
        has_head=verified.wrapped.has_head,
        has_embedding=verified.wrapped.has_embedding,
        sessions=sessions,
        int8_line=message,
        measured=measured,
        probabilities={which: measured.run(session) for which, session in sessions.items()}
        if measured
        else {},
        temperatures=temperatures,
        calibration=calibrated,
        decisions=decisions,
        script_parity=parity,
    )


def _compare_with_script(work: _Import, fp32: Session) -> ScriptParity | None:
    """Compare the graph, before a temperature is fitted, with the references of the user's."""
    arguments, classifier = work.arguments, work.classifier
    references = reference_file.read(arguments.references, work.labels, classifier.form.task)
    if not references:
        return None
    parity = script_parity.compare(
        references,
        fp32,
        work.spec,
        work.labels,
        arguments.reference_tolerance,
        work.report_progress,
    )
    hint = script_parity.require(
        parity, references, classifier.preparation, classifier.preprocessing, classifier.predict
    )
    if hint is not None:
        work.report_progress(f"warning: {hint}")
    return parity


def _summary(classifier: ClassifierFile, verified: Verified) -> str:
    image, form = classifier.source.image, classifier.form
    if verified.wrapped.has_head:
        head = "a pooled linear head"
    elif verified.wrapped.has_embedding:
        head = "no pooled linear head, so explanations use occlusion; it has embeddings"
    else:
        head = "no linear head, so explanations use occlusion and there are no embeddings"
    if verified.one_at_a_time is not None:
        batches = f"; pictures are run one at a time ({verified.one_at_a_time})"
    else:
        batches = f"; its fixed batch size {image.batch} was made dynamic" if image.batch else ""
    return (
        f"reads {image.layout.upper()} of {describe(image.size)}, gives {form.kind}"
        f"{' of each label by itself' if form.task == 'multi_label' else ''}; {head}"
        f"{batches}; parity with the file {verified.difference:.1e}"
    )


def _read_sets(work: _Import) -> dict[Path | None, LabelledPhotos]:
    """Read each folder of photos once."""
    arguments, sets = work.arguments, dict[Path | None, LabelledPhotos]()
    for number, folder in enumerate({arguments.calibrate: 0, arguments.int8: 0}):
        if folder is not None:
            pixels_folder = work.temporary / str(number)
            pixels_folder.mkdir()
            sets[folder] = labelled_photos.read(
                folder,
                work.labels,
                work.spec,
                pixels_folder,
                arguments.seed,
                work.report_progress,
                work.classifier.form.task,
            )
    return sets


def _int8(
    work: _Import,
    verified: Verified,
    photos: LabelledPhotos,
    fp32: Session,
    decisions: LabelDecisions | None,
) -> tuple[Session | None, str]:
    """Make the int8 graph, where it can gain something."""
    if work.classifier.source.is_quantized:
        return None, "int8 is left out: the model is quantised already"
    if verified.one_at_a_time is not None:
        return None, "int8 is left out: the graph runs pictures one at a time"
    return int8_graph.make(
        work.folder,
        fp32,
        verified.wrapped.added_nodes,
        photos,
        work.arguments.seed,
        None if decisions is None else decisions.thresholds,
    )


def _calibrate(
    work: _Import, measured: LabelledPhotos, wrapped: Wrapped, fp32: Session
) -> tuple[Session, Temperatures, Calibration]:
    """Fit the temperature, and put it into the graph."""
    name, truth = measured.examples.data_name, measured.truth
    _require_enough(measured, "a temperature")
    logits = logits_of(measured.run(fp32))
    temperatures = calibration.cross_fit(logits, truth, work.arguments.seed)
    wrap.set_temperature(wrapped.model, temperatures.of_all_photos)
    onnx.save(wrapped.model, work.file)
    figures = measure.cross_fitted(logits, truth, temperatures, name)
    work.report_progress(
        f"temperature {temperatures.of_all_photos:.3f}: ECE {figures.ece_before:.3f} before, "
        f"{figures.ece_after:.3f} after, cross-fitted on {figures.images} photos"
    )
    return Session(work.file, "cpu", "fp32"), temperatures, figures


def _calibrate_labels(
    work: _Import, measured: LabelledPhotos, wrapped: Wrapped, fp32: Session
) -> tuple[Session, LabelDecisions]:
    """Fit each label's scale, offset and threshold, and put the first two into the graph."""
    _require_enough(measured, "a calibration")
    name, seed = measured.examples.data_name, work.arguments.seed
    decisions = label_decisions.fit(measured.run(fp32), measured.label_matrix, name, seed)
    assert decisions.calibration is not None
    assert decisions.figures is not None
    wrap.set_label_calibration(wrapped.model, decisions.calibration)
    onnx.save(wrapped.model, work.file)
    figures = decisions.figures
    work.report_progress(
        f"labels calibrated: mean ECE {figures.ece_before:.3f} before, {figures.ece_after:.3f} "
        f"after, cross-fitted on {figures.images} photos; thresholds for the best F1"
    )
    return Session(work.file, "cpu", "fp32"), decisions


def _require_enough(measured: LabelledPhotos, what: str) -> None:
    count = len(measured.truth)
    if count < _MIN_CALIBRATION_PHOTOS:
        raise DataUnusable(
            f"{measured.examples.data_name} has {count} photos that can be used, and {what} needs "
            f"{_MIN_CALIBRATION_PHOTOS} at least. Add some, or leave --calibrate out."
        )


def _origin(work: _Import, exported: ImportedGraphs, began: float) -> TrainingOrigin:
    measured, parity = exported.measured, exported.script_parity
    reference = {} if parity is None else {"reference": asdict(parity)}
    return TrainingOrigin(
        recipe="import",
        arguments={**_metadata(work.arguments, work.classifier), **reference},
        seed=work.arguments.seed,
        data="no photos" if measured is None else fingerprint(measured.examples.photos),
        libraries=("onnx",),
        began=began,
    )


def _metadata(arguments: Arguments, classifier: ClassifierFile) -> dict[str, Any]:
    """Return the arguments for bundle.json; a file is recorded by its last name only."""
    normalization = classifier.preparation.normalization
    photos_of = {"calibrate": arguments.calibrate, "int8": arguments.int8}
    return {
        "model": arguments.model.name,
        "sha256": hashlib.sha256(arguments.model.read_bytes()).hexdigest(),
        "labels": arguments.labels.name,
        "layout": classifier.source.image.layout,
        "size": list(classifier.source.image.size),
        "fit": classifier.spec.fit,
        "output": classifier.source.output.tensor,
        "output_kind": classifier.form.kind,
        **({"task": "multi_label"} if classifier.form.task == "multi_label" else {}),
        **({} if (preset := arguments.preprocessing.preset) is None else {"preset": preset}),
        "mean": list(normalization.mean),
        "std": list(normalization.std),
        "pixel_range": normalization.pixel_range,
        "channels": normalization.channels,
        **{name: path.resolve().name for name, path in photos_of.items() if path is not None},
    }
