"""Run `hubel import`, from an ONNX file to a bundle.

    ONNX file, labels -> a classifier whose input and output are known   classifier_file
         -> wrapped, for any number of images    a parity miss ends it   verification
         -> photos, where there are some                                 labelled_photos
         -> temperature, or the calibration of each label                fitted_calibration
         -> int8                                 left out on a missed gate
         -> golden photos, figures, report, model card, bundle.json      packaging

Parity: for the same photos, the wrapped graph has the probabilities of the original file, whose
input is normalised with NumPy.
"""

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.bundle import Bundle, Precision
from app.runtime.session import Session
from training import thresholds
from training.contracts import ReportProgress
from training.importing import (
    classifier_file,
    fitted_calibration,
    int8_graph,
    labelled_photos,
    onnx_file,
    reference_file,
    script_parity,
)
from training.importing.classifier_file import ClassifierFile
from training.importing.exported import (
    ImportedGraphs,
    metrics,
    record_golden,
    report_content,
)
from training.importing.image_input import describe
from training.importing.import_run import Arguments, ImportRun
from training.importing.label_decisions import LabelDecisions
from training.importing.labelled_photos import LabelledPhotos
from training.importing.origin import origin
from training.importing.script_parity import ScriptParity
from training.importing.verification import Verified, wrap_and_verify
from training.packaging import measure, model_card, versions
from training.packaging.build import ManifestFields, build_bundle
from training.packaging.staging import folder_beside, report_kept, require_free

__all__ = ["Arguments", "run"]


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
        work = ImportRun(arguments, classifier, folder, temporary, report_progress)
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
                    embeddings=exported.embeddings,
                )
                if measured
                else None,
                origin=origin(work, exported, began),
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


def _export(work: ImportRun) -> ImportedGraphs:
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
        fp32, decisions = fitted_calibration.calibrate_labels(
            work, measured, verified.wrapped, fp32
        )
        calibrated = decisions.figures
    elif measured is not None:
        fp32, temperatures, calibrated = fitted_calibration.fit_temperature(
            work, measured, verified.wrapped, fp32
        )
    sessions: dict[Precision, Session] = {"fp32": fp32}
    message = "int8 was not requested (--int8)"
    int8_set = sets.get(work.arguments.int8)
    if int8_set is not None:
        int8, message = _int8(work, verified, int8_set, fp32, decisions)
        work.report_progress(message)
        if int8 is not None:
            sessions["int8"] = int8
    measured = measured or int8_set
    has_embedding = verified.wrapped.has_embedding
    names = ["probabilities", "embedding"] if has_embedding else ["probabilities"]
    outputs: dict[Precision, tuple[NDArray[np.float32], ...]] = {}
    if measured is not None:
        outputs = {which: measured.outputs_of(each, names) for which, each in sessions.items()}
    return ImportedGraphs(
        has_head=verified.wrapped.has_head,
        has_embedding=has_embedding,
        sessions=sessions,
        int8_line=message,
        measured=measured,
        probabilities={which: rows[0] for which, rows in outputs.items()},
        embeddings={which: rows[1] for which, rows in outputs.items()} if has_embedding else {},
        temperatures=temperatures,
        calibration=calibrated,
        decisions=decisions,
        script_parity=parity,
    )


def _compare_with_script(work: ImportRun, fp32: Session) -> ScriptParity | None:
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


def _read_sets(work: ImportRun) -> dict[Path | None, LabelledPhotos]:
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
    work: ImportRun,
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
