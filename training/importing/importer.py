"""Run `hubel import`, from an ONNX file to a bundle.

    labels, ONNX file -> source -> wrapped, for any number of images    refused on a parity miss
         -> photos, where there are some -> temperature                 labelled_photos
         -> int8                                                        left out on a missed gate
         -> golden photos, figures, report, model card, bundle.json     packaging

Parity: on photos, the wrapped graph gives what the file itself gives for NumPy's floats.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from app.bundle import (
    MODEL_FILES,
    Bundle,
    Calibration,
    Golden,
    InputSpec,
    Label,
    Manifest,
    Metrics,
    Precision,
    Resample,
)
from app.runtime.session import Session
from training import calibration
from training.calibration import Temperatures
from training.contracts import ReportProgress
from training.data.examples import Examples
from training.data.photos import fingerprint, read_pixels
from training.errors import DataUnusable
from training.importing import fitting, int8_graph, label_file, labelled_photos, source, wrap
from training.importing.source import Answers, Source
from training.importing.wrap import Normalization, Wrapped
from training.packaging import default_golden, golden, measure, model_card
from training.packaging.build import Origin, Parts, build_bundle
from training.packaging.staging import folder_beside, require_free
from training.parallel import outputs
from training.report import Content

_CALIBRATION_AT_LEAST = 10
"""Photos; two in each of the folds that score."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Arguments:
    """The arguments of the command."""

    model: Path
    labels: Path
    output: Path
    answers: Answers
    normalization: Normalization
    crop: float
    resample: Resample
    name: str
    version: int
    seed: int
    calibrate: Path | None = None
    int8: Path | None = None


@dataclass(frozen=True, eq=False)
class _Set:
    """Labelled photos."""

    examples: Examples
    pixels: Pixels

    @property
    def truth(self) -> NDArray[np.intp]:
        return self.examples.truth

    def run(self, session: Session) -> NDArray[np.float32]:
        """Return probabilities (N, K)."""
        rows = self.examples.rows.tolist()
        return outputs(
            session, ["probabilities"], self.pixels, rows, f"running {session.precision}"
        )[0]


@dataclass(frozen=True, eq=False)
class _Work:
    """The inputs of the import, and the folders that it works in."""

    arguments: Arguments
    labels: tuple[Label, ...]
    source: Source
    spec: InputSpec
    folder: Path
    """Becomes the bundle."""
    scratch: Path
    report_progress: ReportProgress

    @property
    def file(self) -> Path:
        """The fp32 graph."""
        return self.folder / MODEL_FILES["fp32"]


@dataclass(frozen=True, eq=False)
class _Exported:
    """The graphs, and their predictions on the measured photos."""

    has_head: bool
    """True if the graph ends with a pooled linear head."""
    sessions: Mapping[Precision, Session]
    int8: str
    """The result of int8, as one line."""
    measured: _Set | None
    probabilities: Mapping[Precision, NDArray[np.float32]]
    """By precision, the probabilities (N, K) of the measured photos."""
    temperatures: Temperatures | None
    calibration: Calibration | None


def run(arguments: Arguments, report_progress: ReportProgress) -> Bundle:
    """Make a bundle of an ONNX file and move it, complete, to the output.

    Raises:
        DataUnusable: the file, labels, photos or arguments can't be used, or something is missing.
        GateMissed: the wrapped graph's probabilities differ from the file's.
    """
    began = time.monotonic()
    folders = [folder for folder in (arguments.calibrate, arguments.int8) if folder is not None]
    require_free(arguments.output, *folders)
    labels = label_file.read(arguments.labels)
    model = source.read(arguments.model, arguments.answers)
    for note in model.notes:
        report_progress(note)
    spec = InputSpec(size=model.size, crop=arguments.crop, resample=arguments.resample)
    with (
        folder_beside(arguments.output) as scratch,
        folder_beside(arguments.output) as folder,
    ):
        work = _Work(arguments, labels, model, spec, folder, scratch, report_progress)
        exported = _export(work)
        measured = exported.measured
        return build_bundle(
            Parts(
                name=arguments.name,
                version=arguments.version,
                labels=labels,
                input=spec,
                golden=_golden(work, exported),
                metrics=_metrics(exported),
                calibration=exported.calibration,
                baseline=measure.baseline(exported.probabilities["fp32"]) if measured else None,
                origin=_origin(work, measured, began),
            ),
            folder,
            arguments.output,
            report_content=partial(_report_content, measured, exported) if measured else None,
            model_card=partial(
                model_card.imported, exported.has_head, exported.int8, measured is not None
            ),
        )


def _export(work: _Work) -> _Exported:
    """Write the graphs into the bundle's folder, and run them on photos where there are some."""
    pixels = read_pixels(default_golden.find(default_golden.FOLDER), work.spec)
    wrapped, message = fitting.fit(
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
    message = "int8 was not asked for"
    int8_set = sets.get(work.arguments.int8)
    if int8_set is not None:
        photos = (int8_set.pixels, int8_set.examples.rows, int8_set.truth)
        int8, message = int8_graph.make(work.folder, fp32, wrapped.own, photos, work.arguments.seed)
        work.report_progress(message)
        if int8 is not None:
            sessions["int8"] = int8
    measured = measured or int8_set
    return _Exported(
        has_head=wrapped.head is not None,
        sessions=sessions,
        int8=message,
        measured=measured,
        probabilities={which: measured.run(session) for which, session in sessions.items()}
        if measured
        else {},
        temperatures=temperatures,
        calibration=calibrated,
    )


def _read_sets(work: _Work) -> dict[Path | None, _Set]:
    """Read each folder of photos once."""
    arguments, sets = work.arguments, dict[Path | None, _Set]()
    for number, folder in enumerate({arguments.calibrate: 0, arguments.int8: 0}):
        if folder is not None:
            pixels_folder = work.scratch / str(number)
            pixels_folder.mkdir()
            sets[folder] = _Set(
                *labelled_photos.read(
                    folder,
                    work.labels,
                    work.spec,
                    pixels_folder,
                    arguments.seed,
                    work.report_progress,
                )
            )
    return sets


def _calibrate(
    work: _Work, measured: _Set, wrapped: Wrapped, fp32: Session
) -> tuple[Session, Temperatures, Calibration]:
    """Fit the temperature, and put it into the graph."""
    name, truth = measured.examples.data, measured.truth
    if len(truth) < _CALIBRATION_AT_LEAST:
        raise DataUnusable(
            f"{name} has {len(truth)} photos that can be used, and a temperature needs "
            f"{_CALIBRATION_AT_LEAST} at least. Add some, or leave --calibrate out."
        )
    logits = _logits(measured.run(fp32))
    temperatures = calibration.cross_fit(logits, truth, work.arguments.seed)
    wrap.set_temperature(wrapped.model, temperatures.all)
    onnx.save(wrapped.model, work.file)
    figures = measure.cross_fitted(logits, truth, temperatures, name)
    work.report_progress(
        f"temperature {temperatures.all:.3f}: ECE {figures.ece_before:.3f} before, "
        f"{figures.ece_after:.3f} after, cross-fitted on {figures.images} photos"
    )
    return Session(work.file, "cpu", "fp32"), temperatures, figures


def _metrics(exported: _Exported) -> dict[Precision, Metrics]:
    """Measure each graph; a cross-fitted confidence uses the temperature of the photo's fold."""
    if exported.measured is None:
        return {}
    truth, on = exported.measured.truth, exported.measured.examples.data
    if exported.temperatures is not None:
        on += "; ECE cross-fitted"
    return {
        which: measure.metrics(rows, truth, on, exported.temperatures)
        for which, rows in exported.probabilities.items()
    }


def _golden(work: _Work, exported: _Exported) -> Golden:
    """Record golden photos: some of the measured photos, or those of the default model."""
    if exported.measured is None:
        sources = default_golden.SOURCES
        files = default_golden.find(default_golden.FOLDER)
    else:
        folder, examples = work.scratch / "golden", exported.measured.examples
        selected = golden.select(examples, exported.probabilities["fp32"].astype(np.float64))
        sources = golden.write(examples, selected, folder)
        files = [folder / name for name in sources]
    return golden.record(work.folder, files, sources, exported.sessions, work.labels, work.spec)


def _report_content(measured: _Set, exported: _Exported, manifest: Manifest) -> Content:
    examples, uncalibrated = measured.examples, None
    if manifest.calibration is not None:
        logits = _logits(exported.probabilities["fp32"])
        uncalibrated = calibration.softmax(logits * manifest.calibration.temperature)
    return Content(
        manifest=manifest,
        measured_on=examples.data,
        figures=manifest.metrics,
        truth=examples.truth,
        probabilities=exported.probabilities,
        names=[photo.file.name for photo in examples.photos],
        thumbnails=lambda index: measured.pixels[examples.rows[index]],
        uncalibrated=uncalibrated,
        int8=f"{exported.int8}.",
    )


def _logits(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logarithm of a softmax: its logits, up to a constant in each row."""
    return np.asarray(np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)))


def _origin(work: _Work, measured: _Set | None, began: float) -> Origin:
    return Origin(
        recipe="import",
        arguments=_metadata(work.arguments, work.source),
        seed=work.arguments.seed,
        data="no photos" if measured is None else fingerprint(measured.examples.photos),
        libraries=("onnx",),
        began=began,
    )


def _metadata(arguments: Arguments, model: Source) -> dict[str, Any]:
    """Return the arguments for bundle.json; of files only the last name, not the path."""
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
        "pixel_range": normalization.range,
        "channels": normalization.channels,
        **{name: path.resolve().name for name, path in photos_of.items() if path is not None},
    }
