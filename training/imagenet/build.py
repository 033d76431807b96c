"""Build the default model's bundle from published ImageNet weights and labelled photos.

photos -> decode, resize -> pixels
weights -> network -> logits -> temperature -> model.onnx       nothing is written on a parity miss
model.onnx, calibration set -> model.int8.onnx                  left out on a missed gate
golden photos -> their expected probabilities
-> figures, model card, bundle.json                             packaging.build
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from app.bundle import MODEL_FILES, Bundle, InputSpec, Metrics, Precision
from app.runtime.session import Session
from training import calibration
from training.contracts import ReportProgress
from training.data import layout
from training.data.layout import File
from training.data.photos import fingerprint, read_all
from training.errors import DataUnusable
from training.gates import Int8Result, check_parity, probabilities_of
from training.imagenet import labels
from training.int8 import candidate
from training.int8.candidate import Candidate, Comparison
from training.int8.quantize import CALIBRATION_PHOTOS
from training.packaging import default_golden, golden, measure, model_card
from training.packaging.build import ManifestFields, TrainingOrigin, build_bundle
from training.packaging.staging import folder_beside, require_free

Pixels = NDArray[np.uint8]
Integers = NDArray[np.intp]


_NOTE_ON_FIGURES: dict[Precision, str] = {
    "fp32": "ECE cross-fitted",
    "int8": f"ECE cross-fitted; {CALIBRATION_PHOTOS} of these photos calibrated it "
    "(their labels were not used)",
}


@dataclass(frozen=True)
class Arguments:
    """The arguments of the command."""

    backbone: str
    photos: Path
    output: Path
    unlabelled: tuple[Path, ...]
    labels: Path
    golden: Path
    input: InputSpec
    name: str
    version: int
    seed: int

    def metadata(self) -> dict[str, Any]:
        """Return the arguments for bundle.json; a folder is recorded by its last name only."""
        return {
            "backbone": self.backbone,
            "photos": self.photos.resolve().name,
            "agreement": [folder.resolve().name for folder in self.unlabelled],
            "labels": self.labels.name,
            "size": self.input.size,
            "crop": self.input.crop,
            "resample": self.input.resample,
            "seed": self.seed,
        }


def build(arguments: Arguments, report_progress: ReportProgress) -> Bundle:
    """Make the bundle and move it, complete, to the output.

    Raises:
        DataUnusable: photos, labels or golden photos can't be used.
        GateMissed: the graph's probabilities differ from PyTorch's.
    """
    began = time.monotonic()
    require_free(arguments.output)
    names = labels.read(arguments.labels)
    files = _files(arguments.photos)
    truth = layout.class_indices(files, [label.id or label.name for label in names])
    unlabelled_files = [_files(folder) for folder in arguments.unlabelled]
    golden_files = default_golden.find(arguments.golden)
    with (
        folder_beside(arguments.output) as temporary,
        folder_beside(arguments.output) as folder,
    ):
        photos, pixels = read_all(files, arguments.input, _made(temporary / "labelled"))
        unlabelled = [
            read_all(more, arguments.input, _made(temporary / str(number)))[1]
            for number, more in enumerate(unlabelled_files)
        ]
        report_progress(f"{len(photos)} labelled photos read")
        exported = _export(folder, arguments, pixels, truth, report_progress)
        int8 = _make_int8(folder, exported.session, arguments.seed, pixels, truth, unlabelled)
        _report_int8(int8, report_progress)
        sessions: dict[Precision, Session] = {"fp32": exported.session}
        if int8.session:
            sessions["int8"] = int8.session
        fields = ManifestFields(
            name=arguments.name,
            version=arguments.version,
            labels=names,
            input=arguments.input,
            golden=golden.record(
                folder, golden_files, default_golden.SOURCES, sessions, names, arguments.input
            ),
            metrics=_metrics(arguments, exported, int8, pixels, truth),
            calibration=measure.cross_fitted(
                exported.logits, truth, exported.temperatures, arguments.photos.resolve().name
            ),
            baseline=measure.baseline(exported.probabilities),
            origin=TrainingOrigin(
                recipe="pretrained",
                arguments=arguments.metadata(),
                seed=arguments.seed,
                data=fingerprint(photos),
                libraries=("torch",),
                began=began,
            ),
        )
        return build_bundle(
            fields,
            folder,
            arguments.output,
            report_content=None,
            model_card=partial(model_card.imagenet, arguments.backbone, _result(int8)),
        )


def _files(data: Path) -> Sequence[File]:
    files = layout.scan_folder(data).files
    if not files:
        raise DataUnusable(
            f"{data} has no class folders with files. Make one folder of photos for each class."
        )
    return files


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@dataclass(frozen=True, eq=False)
class _Fp32Export:
    """The fp32 graph, and its predictions on the N labelled photos."""

    session: Session
    logits: NDArray[np.float32]
    """(N, K), without the temperature, by PyTorch."""
    probabilities: NDArray[np.float32]
    """(N, K) by the graph."""
    temperatures: calibration.Temperatures


def _export(
    folder: Path,
    arguments: Arguments,
    pixels: Pixels,
    truth: Integers,
    report_progress: ReportProgress,
) -> _Fp32Export:
    """Write the fp32 graph, and compare it with PyTorch on every photo."""
    from training.networks.efficientnet_lite import load_pretrained
    from training.networks.inference import predict_logits
    from training.onnx_graph.efficientnet_lite import export

    network = load_pretrained(arguments.backbone)
    logits = predict_logits(network, pixels)
    temperatures = calibration.cross_fit(logits, truth, arguments.seed)
    report_progress(f"temperature {temperatures.of_all_photos:.3f}")

    file = folder / MODEL_FILES["fp32"]
    size = arguments.input.height
    onnx.save(export(network.weights(), size, temperatures.of_all_photos), file)
    session = Session(file, "cpu", "fp32")
    expected = calibration.softmax(logits / temperatures.of_all_photos)
    probabilities = probabilities_of(session, pixels)
    report_progress(f"parity with PyTorch {check_parity(expected, probabilities):.1e}")
    return _Fp32Export(session, logits, probabilities, temperatures)


def _make_int8(
    folder: Path,
    fp32: Session,
    seed: int,
    pixels: Pixels,
    truth: Integers,
    unlabelled: Sequence[Pixels],
) -> Candidate:
    """Calibrate int8 on some of the photos, and compare it on the others and the unlabelled."""
    calibration_set, holdout = candidate.split(len(truth), seed)
    comparison = Comparison(pixels, holdout, truth[holdout], unlabelled)
    return candidate.make(folder, fp32, pixels[calibration_set], comparison)


def _metrics(
    arguments: Arguments,
    exported: _Fp32Export,
    int8: Candidate,
    pixels: Pixels,
    truth: Integers,
) -> dict[Precision, Metrics]:
    """Measure each graph on all labelled photos."""
    probabilities: dict[Precision, NDArray[np.float32]] = {"fp32": exported.probabilities}
    if int8.session:
        probabilities["int8"] = probabilities_of(int8.session, pixels)
    name = arguments.photos.resolve().name
    return {
        which: measure.metrics(
            rows, truth, f"{name}; {_NOTE_ON_FIGURES[which]}", exported.temperatures
        )
        for which, rows in probabilities.items()
    }


def _result(int8: Candidate) -> Int8Result:
    assert int8.result is not None  # it is compared on any number of photos
    return int8.result


def _report_int8(int8: Candidate, report_progress: ReportProgress) -> None:
    result = _result(int8)
    report_progress(
        f"int8 on {result.images} photos: it {result.loss_or_gain}, "
        f"agreement {100 * result.agreement:.1f} %, {result.speedup:.2f} times as fast"
    )
    if result.failures:
        report_progress(f"int8 is left out: {'; '.join(result.failures)}")
