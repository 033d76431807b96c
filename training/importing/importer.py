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
from app.runtime import metrics
from app.runtime.session import Session
from training import (
    bundling,
    calibration,
    golden,
    golden_picks,
    provenance,
    reading,
    report,
)
from training.calibration import Temperatures
from training.cores import outputs
from training.examples import Examples
from training.importing import card, data, fitting, label_file, quantizing, source, wrap
from training.importing.source import Answers, Source
from training.importing.wrap import Normalization, Wrapped
from training.output import require_free

GOLDEN = Path(__file__).parents[2] / "model" / "imagenet" / "golden"

Tell = Callable[[str], None]
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
        return outputs(
            session, ["probabilities"], self.pixels, rows, f"running {session.precision}"
        )[0]


def run(arguments: Arguments, tell: Tell) -> Bundle:
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
        tell(note)
    spec = InputSpec(size=found.size, crop=arguments.crop, resample=arguments.resample)
    with (
        bundling.folder_beside(arguments.output) as scratch,
        bundling.folder_beside(arguments.output) as folder,
    ):
        file = folder / MODEL_FILES["fp32"]
        pixels = fitting.pixels_of(golden.find(GOLDEN), spec)
        wrapped, told = fitting.fit(found, arguments.normalization, pixels, len(labels), file)
        tell(told)
        fp32 = Session(file, "cpu", "fp32")
        sets = _read(arguments, labels, spec, scratch, tell)
        temperatures, calibrated = None, None
        if (measured := sets.get(arguments.calibrate)) is not None:
            fp32, temperatures, calibrated = _calibrated(arguments, measured, wrapped, fp32, folder)
            tell(
                f"temperature {temperatures.all:.3f}: ECE {calibrated.ece_before:.3f} before, "
                f"{calibrated.ece_after:.3f} after, cross-fitted on {calibrated.images} photos"
            )
        sessions: dict[Precision, Session] = {"fp32": fp32}
        told = "int8 was not asked for"
        if (ranged := sets.get(arguments.int8)) is not None:
            int8, _, told = quantizing.quantized(
                folder,
                fp32,
                wrapped.own,
                ranged.pixels,
                ranged.examples.rows,
                ranged.truth,
                arguments.seed,
            )
            tell(told)
            if int8 is not None:
                sessions["int8"] = int8
        measured = measured or ranged
        given = {which: measured.run(each) for which, each in sessions.items()} if measured else {}
        manifest = Manifest(
            name=arguments.name,
            version=arguments.version,
            labels=labels,
            input=spec,
            golden=_golden(measured, given, sessions, labels, spec, folder, scratch),
            files=bundles.record_files(folder, bundling.files_in(folder)),
            metrics=_metrics(measured, given, temperatures),
            calibration=calibrated,
            baseline=bundling.baseline(given["fp32"]) if measured else None,
            training=Training(
                recipe="import",
                arguments=_recorded(arguments, found),
                seed=arguments.seed,
                data=reading.fingerprint(measured.examples.photos) if measured else "no photos",
                versions=provenance.versions("onnx"),
                git_commit=provenance.git_commit(),
                seconds=round(time.monotonic() - began, 1),
            ),
        )
        if measured is not None:
            report.write(_content(manifest, measured, given, told), folder / "report")
            files = bundles.record_files(folder, bundling.files_in(folder))
            manifest = manifest.model_copy(update={"files": files})
        text = card.write(manifest, wrapped.head is not None, told, measured is not None)
        (folder / bundles.MODEL_CARD).write_text(text, encoding="utf-8")
        return bundles.save(manifest, folder, arguments.output)


def _read(
    arguments: Arguments, labels: tuple[Label, ...], spec: InputSpec, scratch: Path, tell: Tell
) -> dict[Path | None, _Set]:
    """The folders of photos, each read once."""
    sets: dict[Path | None, _Set] = {}
    for number, folder in enumerate({arguments.calibrate: 0, arguments.int8: 0}):
        if folder is not None:
            place = scratch / str(number)
            place.mkdir()
            sets[folder] = _Set(*data.read(folder, labels, spec, place, arguments.seed, tell))
    return sets


def _calibrated(
    arguments: Arguments, measured: _Set, wrapped: Wrapped, fp32: Session, folder: Path
) -> tuple[Session, Temperatures, Calibration]:
    """Fit the temperature, and put it into the graph."""
    floor = np.finfo(np.float32).tiny
    logits = np.log(np.maximum(measured.run(fp32), floor))
    temperatures = calibration.cross_fit(logits, measured.truth, arguments.seed)
    wrap.set_temperature(wrapped.model, temperatures.all)
    file = folder / MODEL_FILES["fp32"]
    onnx.save(wrapped.model, file)
    labelled = bundling.Labelled(
        measured.examples.data, measured.pixels, measured.truth, temperatures
    )
    return Session(file, "cpu", "fp32"), temperatures, bundling.calibrated(logits, labelled)


def _metrics(
    measured: _Set | None,
    given: Mapping[Precision, NDArray[np.float32]],
    temperatures: Temperatures | None,
) -> dict[Precision, Metrics]:
    """Where a temperature was fitted, each photo's confidence is by that of its own fold."""
    if measured is None:
        return {}
    truth, on = measured.truth, measured.examples.data
    found: dict[Precision, Metrics] = {}
    for which, rows in given.items():
        scored = calibration.rescored(rows, temperatures) if temperatures else rows
        found[which] = Metrics(
            top1=metrics.top_k_accuracy(rows, truth, 1),
            top5=metrics.top_k_accuracy(rows, truth, 5),
            ece=metrics.calibration_error(scored, truth),
            images=len(truth),
            on=f"{on}{'; ECE cross-fitted' if temperatures else ''}",
        )
    return found


def _golden(
    measured: _Set | None,
    given: Mapping[Precision, NDArray[np.float32]],
    sessions: Mapping[Precision, Session],
    labels: tuple[Label, ...],
    spec: InputSpec,
    folder: Path,
    scratch: Path,
) -> Golden:
    """Photos of DATA, or the default model's, with what the graphs make of them."""
    sources: Mapping[str, str] = golden.SOURCES
    files = golden.find(GOLDEN)
    if measured is not None:
        picks = golden_picks.pick(measured.examples, given["fp32"].astype(np.float64))
        sources = golden_picks.write(measured.examples, picks, scratch / "golden")
        files = [scratch / "golden" / name for name in sources]
    return bundling.record_golden(folder, files, sources, sessions, labels, spec)


def _content(
    manifest: Manifest, measured: _Set, given: Mapping[Precision, NDArray[np.float32]], int8: str
) -> report.Content:
    examples, uncalibrated = measured.examples, None
    if manifest.calibration is not None:
        logits = np.log(np.maximum(given["fp32"], np.finfo(np.float32).tiny))
        uncalibrated = calibration.softmax(logits * manifest.calibration.temperature)
    return report.Content(
        manifest=manifest,
        measured_on=examples.data,
        figures=manifest.metrics,
        truth=examples.truth,
        probabilities=given,
        names=[photo.file.name for photo in examples.photos],
        thumbnails=lambda index: measured.pixels[examples.rows[index]],
        uncalibrated=uncalibrated,
        int8=f"{int8}.",
    )


def _recorded(arguments: Arguments, found: Source) -> dict[str, Any]:
    """For bundle.json: files by their last name, since a path is true on one machine."""
    given = arguments.normalization
    photos_of = {"calibrate": arguments.calibrate, "int8": arguments.int8}
    return {
        "model": arguments.model.name,
        "sha256": hashlib.sha256(arguments.model.read_bytes()).hexdigest(),
        "labels": arguments.labels.name,
        "layout": found.layout,
        "output": found.output,
        "output_kind": found.kind,
        "mean": list(given.mean),
        "std": list(given.std),
        "pixel_range": given.range,
        "channels": given.channels,
        **{name: path.resolve().name for name, path in photos_of.items() if path is not None},
    }
