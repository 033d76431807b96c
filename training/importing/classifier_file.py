"""All that is known about the imported file before its graph is changed.

    ONNX file -> labels -> source -> preparation -> its own outputs on photos -> their form

The order is that of the questions that a user has: is it ONNX at all, do the labels fit, how are
pixels prepared, what do the outputs mean.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from app.bundle import InputSpec, Label
from training.contracts import ReportProgress
from training.data.photos import read_pixels
from training.errors import DataUnusable
from training.importing import labels, normalization_check, presets, source
from training.importing.original import Original
from training.importing.output_kind import OutputForm, output_form
from training.importing.preparation import Preparation, prepare
from training.importing.presets import Preprocessing, StatedPreprocessing
from training.importing.source import Source, StatedProperties
from training.importing.verification import check_output
from training.packaging import default_golden


@dataclass(frozen=True, eq=False)
class ClassifierFile:
    """An ONNX file whose input, output and labels are known."""

    labels: tuple[Label, ...]
    source: Source
    preprocessing: Preprocessing
    preparation: Preparation
    form: OutputForm
    original: Original
    pixels: NDArray[np.uint8]
    """(N, H, W, 3) uint8 RGB of the golden photos."""
    expected: NDArray[np.float64]
    """(N, K) the file's own probabilities of these photos."""

    def predict(self, preparation: Preparation, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the file's own probabilities (N, K) of pixels (N, H, W, 3) uint8 RGB."""
        values = self.original.run(preparation, pixels)
        return self.form.probabilities(values.reshape(len(values), -1))

    @property
    def spec(self) -> InputSpec:
        """The input of the bundle."""
        return self.preparation.spec


def read(
    model: onnx.ModelProto,
    label_file: Path,
    properties: StatedProperties,
    preprocessing: StatedPreprocessing,
    temporary: Path,
    report_progress: ReportProgress,
) -> ClassifierFile:
    """Read the labels of an ONNX model, and run it on the golden photos.

    Args:
        model: the content of the ONNX file.
        label_file: the file of its labels.
        properties: what the command line states about the graph.
        preprocessing: what it states about pixels.
        temporary: a folder for files that are removed later.
        report_progress: called with each note and warning.

    Raises:
        DataUnusable: the model or the labels can't be used, or an option is missing.
    """
    named = labels.read(label_file)
    read_source = source.read(model, properties, len(named.labels))
    _check_names(read_source, named.labels)
    resolved, notes = presets.resolve(preprocessing, model, read_source.image)
    preparation = prepare(
        read_source.image, resolved.normalization, resolved.crop, resolved.resample, resolved.fit
    )
    for note in (*named.notes, *read_source.notes, *notes, *preparation.notes):
        report_progress(note)
    for warning in normalization_check.of_numbers(preparation):
        report_progress(f"warning: {warning}")
    pixels = read_pixels(default_golden.find(default_golden.FOLDER), preparation.spec)
    original = Original(read_source, temporary / "original.onnx")
    values = check_output(read_source, original.run(preparation, pixels), len(named.labels))
    form = output_form(model, read_source.output.tensor, properties.kind, values, properties.task)
    found_labels, derived_label = _labels_of(named.labels, form)
    for derived in (derived_label, form.note):
        if derived is not None:
            report_progress(derived)
    expected = form.probabilities(values)
    for warning in (
        *normalization_check.of_first_layer(read_source, preparation, pixels),
        *normalization_check.of_predictions(expected, form.task),
    ):
        report_progress(f"warning: {warning}")
    return ClassifierFile(
        found_labels, read_source, resolved, preparation, form, original, pixels, expected
    )


def _labels_of(stated: tuple[Label, ...], form: OutputForm) -> tuple[tuple[Label, ...], str | None]:
    """Return the labels, with one for 0 where a binary classifier's file names that for 1 alone."""
    if not form.is_binary or len(stated) > 1:
        return stated, None
    (label,) = stated
    absent = Label(name=f"not {label.name}")
    return (absent, label), (
        f"the labels are {absent.name!r} (0) and {label.name!r} (1); for other names, put both "
        "into the label file"
    )


def _check_names(read_source: Source, stated: tuple[Label, ...]) -> None:
    """Reject labels that are the file's own names in another order."""
    own = read_source.output.names
    names = tuple(label.name for label in stated)
    if own is None or own == names or sorted(own) != sorted(names):
        return
    index = next(i for i, (a, b) in enumerate(zip(own, names, strict=True)) if a != b)
    raise DataUnusable(
        f"The file names its class {index} {own[index]!r}, and the label file {names[index]!r}. "
        "Put the labels in the file's order."
    )
