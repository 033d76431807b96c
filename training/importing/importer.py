"""Run `hubel import`, from an ONNX file to a bundle.

    labels, ONNX file -> source -> wrapped, for any number of images    a parity miss ends it
         -> photos, where there are some -> temperature                 labelled_photos
         -> int8                                                        left out on a missed gate
         -> golden photos, figures, report, model card, bundle.json     packaging

Parity: for the same photos, the wrapped graph has the probabilities of the original file, whose
input is normalised with NumPy.
"""

import hashlib
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from app.bundle import (
    MODEL_FILES,
    Bundle,
    Calibration,
    InputSpec,
    Label,
    Precision,
    Resample,
)
from app.runtime.session import Session
from training import calibration
from training.calibration import Temperatures
from training.contracts import ReportProgress
from training.data.photos import fingerprint, read_pixels
from training.errors import DataUnusable
from training.importing import int8_graph, labelled_photos, labels, source, verification, wrap
from training.importing.exported import (
    ImportedGraphs,
    logits_of,
    metrics,
    record_golden,
    report_content,
)
from training.importing.labelled_photos import LabelledPhotos
from training.importing.source import Source, StatedProperties
from training.importing.wrap import Normalization, Wrapped
from training.packaging import default_golden, measure, model_card, versions
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
    stated: StatedProperties
    normalization: Normalization
    crop: float
    resample: Resample
    name: str
    version: int
    seed: int
    force: bool = False
    """Whether foreign files in the output are kept beside the bundle, or end the import."""
    calibrate: Path | None = None
    int8: Path | None = None


@dataclass(frozen=True, eq=False)
class _Import:
    """The inputs of the import, and the folders that it works in."""

    arguments: Arguments
    labels: tuple[Label, ...]
    source: Source
    spec: InputSpec
    folder: Path
    """The folder that becomes the bundle."""
    temporary: Path
    report_progress: ReportProgress

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
    folders = [folder for folder in (arguments.calibrate, arguments.int8) if folder is not None]
    inputs = (arguments.model, arguments.labels, *folders)
    kept = require_free(arguments.output, *inputs, force=arguments.force)
    versions.require_unused(arguments.output, arguments.name, arguments.version)
    report_kept(kept, report_progress)
    model = source.read(arguments.model, arguments.stated)
    label_file = labels.read(arguments.labels)
    for note in (*label_file.notes, *model.notes):
        report_progress(note)
    spec = InputSpec(size=model.size, crop=arguments.crop, resample=arguments.resample)
    with (
        folder_beside(arguments.output) as temporary,
        folder_beside(arguments.output) as folder,
    ):
        work = _Import(
            arguments, label_file.labels, model, spec, folder, temporary, report_progress
        )
        exported = _export(work)
        measured = exported.measured
        bundle = build_bundle(
            ManifestFields(
                name=arguments.name,
                version=arguments.version,
                labels=label_file.labels,
                input=spec,
                golden=record_golden(exported, label_file.labels, spec, folder, temporary),
                metrics=metrics(exported),
                calibration=exported.calibration,
                baseline=measure.baseline(exported.probabilities["fp32"]) if measured else None,
                origin=_origin(work, measured, began),
            ),
            folder,
            arguments.output,
            report_content=partial(report_content, measured, exported) if measured else None,
            model_card=partial(
                model_card.imported, exported.has_head, exported.int8_line, measured is not None
            ),
            report_progress=report_progress,
        )
    report_progress(versions.summary(bundle))
    return bundle


def _export(work: _Import) -> ImportedGraphs:
    """Write the graphs into the bundle's folder, and run them on photos where there are some."""
    pixels = read_pixels(default_golden.find(default_golden.FOLDER), work.spec)
    wrapped, message = verification.wrap_and_verify(
        work.source, work.arguments.normalization, pixels, len(work.labels), work.file
    )
    work.report_progress(message)
    fp32 = Session(work.file, "cpu", "fp32")
    sets = _read_sets(work)
    temperatures, calibrated = None, None
    measured = sets.get(work.arguments.calibrate)
    if measured is not None:
        fp32, temperatures, calibrated = _calibrate(work, measured, wrapped, fp32)
    sessions: dict[Precision, Session] = {"fp32": fp32}
    message = "int8 was not requested (--int8)"
    int8_set = sets.get(work.arguments.int8)
    if int8_set is not None:
        photos = (int8_set.pixels, int8_set.examples.rows, int8_set.truth)
        int8, message = int8_graph.make(
            work.folder, fp32, wrapped.added_nodes, photos, work.arguments.seed
        )
        work.report_progress(message)
        if int8 is not None:
            sessions["int8"] = int8
    measured = measured or int8_set
    return ImportedGraphs(
        has_head=wrapped.head is not None,
        sessions=sessions,
        int8_line=message,
        measured=measured,
        probabilities={which: measured.run(session) for which, session in sessions.items()}
        if measured
        else {},
        temperatures=temperatures,
        calibration=calibrated,
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
            )
    return sets


def _calibrate(
    work: _Import, measured: LabelledPhotos, wrapped: Wrapped, fp32: Session
) -> tuple[Session, Temperatures, Calibration]:
    """Fit the temperature, and put it into the graph."""
    name, truth = measured.examples.data_name, measured.truth
    if len(truth) < _MIN_CALIBRATION_PHOTOS:
        raise DataUnusable(
            f"{name} has {len(truth)} photos that can be used, and a temperature needs "
            f"{_MIN_CALIBRATION_PHOTOS} at least. Add some, or leave --calibrate out."
        )
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


def _origin(work: _Import, measured: LabelledPhotos | None, began: float) -> TrainingOrigin:
    return TrainingOrigin(
        recipe="import",
        arguments=_metadata(work.arguments, work.source),
        seed=work.arguments.seed,
        data="no photos" if measured is None else fingerprint(measured.examples.photos),
        libraries=("onnx",),
        began=began,
    )


def _metadata(arguments: Arguments, model: Source) -> dict[str, Any]:
    """Return the arguments for bundle.json; a file is recorded by its last name only."""
    normalization = arguments.normalization
    photos_of = {"calibrate": arguments.calibrate, "int8": arguments.int8}
    return {
        "model": arguments.model.name,
        "sha256": hashlib.sha256(arguments.model.read_bytes()).hexdigest(),
        "labels": arguments.labels.name,
        "layout": model.layout,
        "output": model.output,
        "output_kind": model.kind,
        "mean": list(normalization.mean),
        "std": list(normalization.std),
        "pixel_range": normalization.pixel_range,
        "channels": normalization.channels,
        **{name: path.resolve().name for name, path in photos_of.items() if path is not None},
    }
