"""`hubel import`, told from top to bottom.

    labels, ONNX file -> source -> wrapped, for any number of pictures     refused on a parity miss
         -> photos, where there are some -> temperature                    data
         -> int8                                                           left out on a missed gate
         -> golden photos, figures, report, card -> bundle.json            bundling

Parity: on photos, the wrapped graph gives what the file itself gives for floats that NumPy made.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from app import bundle as bundles
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
    Training,
)
from app.runtime.evaluation import accuracy
from app.runtime.session import Session
from training import calibration, report
from training.calibration import Temperatures
from training.data.examples import Examples
from training.data.photo_files import pixels_of
from training.data.photos import fingerprint
from training.errors import DataUnusable
from training.importing import card, fitting, int8_graph, label_file, labelled_photos, source, wrap
from training.importing.source import Answers, Source
from training.importing.wrap import Normalization, Wrapped
from training.packaging import bundle_parts, golden, golden_selection, provenance
from training.packaging.staging import folder_beside, require_free
from training.parallel import run_graph

_CALIBRATION_AT_LEAST = 10
"""Photos; two in each of the folds that score."""
GOLDEN = Path(__file__).parents[2] / "model" / "imagenet" / "golden"

ReportProgress = Callable[[str], None]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Arguments:
    """What the command was asked for."""

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
        """Probabilities (N, K)."""
        rows = self.examples.rows.tolist()
        return run_graph(
            session, ["probabilities"], self.pixels, rows, f"running {session.precision}"
        )[0]


@dataclass(frozen=True, eq=False)
class _Work:
    """What is known before anything is made, and where it is made."""

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
class _Made:
    """The graphs, and what was measured of them."""

    explains: bool
    sessions: Mapping[Precision, Session]
    int8: str
    """What came of it."""
    measured: _Set | None
    given: Mapping[Precision, NDArray[np.float32]]
    """By precision, the probabilities (N, K) of the measured photos."""
    temperatures: Temperatures | None
    calibration: Calibration | None


def run(arguments: Arguments, report_progress: ReportProgress) -> Bundle:
    """Make a bundle of an ONNX file and move it to its place, whole.

    Raises:
        DataUnusable: the file, labels, photos or arguments can't be used, or something is missing.
        GateMissed: the wrapped graph doesn't give what the file gives.
    """
    began = time.monotonic()
    folders = [folder for folder in (arguments.calibrate, arguments.int8) if folder is not None]
    require_free(arguments.output, *folders)
    labels = label_file.read(arguments.labels)
    found = source.read(arguments.model, arguments.answers)
    for note in found.notes:
        report_progress(note)
    spec = InputSpec(size=found.size, crop=arguments.crop, resample=arguments.resample)
    with (
        folder_beside(arguments.output) as scratch,
        folder_beside(arguments.output) as folder,
    ):
        work = _Work(arguments, labels, found, spec, folder, scratch, report_progress)
        made = _make(work)
        manifest = _manifest(work, made, _golden(work, made), began)
        if made.measured is not None:
            report.write(_content(manifest, made.measured, made), folder / "report")
            files = bundles.record_files(folder, bundle_parts.files_in(folder))
            manifest = manifest.model_copy(update={"files": files})
        text = card.write(manifest, made.explains, made.int8, made.measured is not None)
        (folder / bundles.MODEL_CARD).write_text(text, encoding="utf-8")
        return bundles.save(manifest, folder, arguments.output)


def _make(work: _Work) -> _Made:
    """Write the graphs into the bundle's folder, and measure them where there are photos."""
    pixels = pixels_of(golden.find(GOLDEN), work.spec)
    wrapped, told = fitting.fit(
        work.source, work.arguments.normalization, pixels, len(work.labels), work.file
    )
    work.report_progress(told)
    fp32 = Session(work.file, "cpu", "fp32")
    sets = _read(work)
    temperatures, calibrated = None, None
    measured = sets.get(work.arguments.calibrate)
    if measured is not None:
        fp32, temperatures, calibrated = _calibrated(work, measured, wrapped, fp32)
    sessions: dict[Precision, Session] = {"fp32": fp32}
    told = "int8 was not asked for"
    calibration_set = sets.get(work.arguments.int8)
    if calibration_set is not None:
        int8, told = int8_graph.quantized(
            work.folder,
            fp32,
            wrapped.own,
            (calibration_set.pixels, calibration_set.examples.rows, calibration_set.truth),
            work.arguments.seed,
        )
        work.report_progress(told)
        if int8 is not None:
            sessions["int8"] = int8
    measured = measured or calibration_set
    return _Made(
        explains=wrapped.head is not None,
        sessions=sessions,
        int8=told,
        measured=measured,
        given={which: measured.run(each) for which, each in sessions.items()} if measured else {},
        temperatures=temperatures,
        calibration=calibrated,
    )


def _manifest(work: _Work, made: _Made, golden_photos: Golden, began: float) -> Manifest:
    arguments, folder = work.arguments, work.folder
    photos = None if made.measured is None else made.measured.examples.photos
    return Manifest(
        name=arguments.name,
        version=arguments.version,
        labels=work.labels,
        input=work.spec,
        golden=golden_photos,
        files=bundles.record_files(folder, bundle_parts.files_in(folder)),
        metrics=_metrics(made),
        calibration=made.calibration,
        baseline=bundle_parts.baseline(made.given["fp32"]) if made.given else None,
        training=Training(
            recipe="import",
            arguments=_recorded(arguments, work.source),
            seed=arguments.seed,
            data="no photos" if photos is None else fingerprint(photos),
            versions=provenance.versions("onnx"),
            git_commit=provenance.git_commit(),
            seconds=round(time.monotonic() - began, 1),
        ),
    )


def _read(work: _Work) -> dict[Path | None, _Set]:
    """The folders of photos, each read once."""
    asked, sets = work.arguments, dict[Path | None, _Set]()
    for number, folder in enumerate({asked.calibrate: 0, asked.int8: 0}):
        if folder is not None:
            place = work.scratch / str(number)
            place.mkdir()
            sets[folder] = _Set(
                *labelled_photos.read(
                    folder, work.labels, work.spec, place, asked.seed, work.report_progress
                )
            )
    return sets


def _calibrated(
    work: _Work, measured: _Set, wrapped: Wrapped, fp32: Session
) -> tuple[Session, Temperatures, Calibration]:
    """Fit the temperature, and put it into the graph."""
    name, truth = measured.examples.data, measured.truth
    if len(truth) < _CALIBRATION_AT_LEAST:
        raise DataUnusable(
            f"{name} has {len(truth)} photos that can be used, and a temperature needs "
            f"{_CALIBRATION_AT_LEAST} at least. Add some, or leave --calibrate out."
        )
    logits = np.log(np.maximum(measured.run(fp32), np.finfo(np.float32).tiny))
    temperatures = calibration.cross_fit(logits, truth, work.arguments.seed)
    wrap.set_temperature(wrapped.model, temperatures.all)
    onnx.save(wrapped.model, work.file)
    labelled = bundle_parts.Labelled(name, measured.pixels, truth, temperatures)
    found = bundle_parts.calibrated(logits, labelled)
    work.report_progress(
        f"temperature {temperatures.all:.3f}: ECE {found.ece_before:.3f} before, "
        f"{found.ece_after:.3f} after, cross-fitted on {found.images} photos"
    )
    return Session(work.file, "cpu", "fp32"), temperatures, found


def _metrics(made: _Made) -> dict[Precision, Metrics]:
    """Where a temperature was fitted, each photo's confidence is by that of its own fold."""
    if made.measured is None:
        return {}
    truth, on = made.measured.truth, made.measured.examples.data
    if made.temperatures is not None:
        on += "; ECE cross-fitted"
    found: dict[Precision, Metrics] = {}
    for which, rows in made.given.items():
        scored = calibration.recalibrate(rows, made.temperatures) if made.temperatures else rows
        found[which] = Metrics(
            top1=accuracy.top_k_accuracy(rows, truth, 1),
            top5=accuracy.top_k_accuracy(rows, truth, 5),
            ece=accuracy.calibration_error(scored, truth),
            images=len(truth),
            on=on,
        )
    return found


def _golden(work: _Work, made: _Made) -> Golden:
    """Photos of DATA, or the default model's, with what the graphs make of them."""
    sources: Mapping[str, str] = golden.SOURCES
    files = golden.find(GOLDEN)
    if made.measured is not None:
        place, examples = work.scratch / "golden", made.measured.examples
        picks = golden_selection.pick(examples, made.given["fp32"].astype(np.float64))
        sources = golden_selection.write(examples, picks, place)
        files = [place / name for name in sources]
    return bundle_parts.record_golden(
        work.folder, files, sources, made.sessions, work.labels, work.spec
    )


def _content(manifest: Manifest, measured: _Set, made: _Made) -> report.Content:
    examples, uncalibrated = measured.examples, None
    if manifest.calibration is not None:
        logits = np.log(np.maximum(made.given["fp32"], np.finfo(np.float32).tiny))
        uncalibrated = calibration.softmax(logits * manifest.calibration.temperature)
    return report.Content(
        manifest=manifest,
        measured_on=examples.data,
        figures=manifest.metrics,
        truth=examples.truth,
        probabilities=made.given,
        names=[photo.file.name for photo in examples.photos],
        thumbnails=lambda index: measured.pixels[examples.rows[index]],
        uncalibrated=uncalibrated,
        int8=f"{made.int8}.",
    )


def _recorded(arguments: Arguments, found: Source) -> dict[str, Any]:
    """For bundle.json: files by their last name, since a path is true on one machine."""
    told = arguments.normalization
    photos_of = {"calibrate": arguments.calibrate, "int8": arguments.int8}
    return {
        "model": arguments.model.name,
        "sha256": hashlib.sha256(arguments.model.read_bytes()).hexdigest(),
        "labels": arguments.labels.name,
        "layout": found.layout,
        "output": found.output,
        "output_kind": found.kind,
        "mean": list(told.mean),
        "std": list(told.std),
        "pixel_range": told.range,
        "channels": told.channels,
        **{name: path.resolve().name for name, path in photos_of.items() if path is not None},
    }
