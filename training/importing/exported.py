"""Turn the graphs of an import and their predictions into the parts of a bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.bundle import (
    Calibration,
    Golden,
    InputSpec,
    Label,
    Manifest,
    Metrics,
    MultiLabelMetrics,
    Precision,
)
from app.runtime.session import Session
from training import calibration
from training.calibration import Temperatures
from training.importing.label_decisions import LabelDecisions, log_odds
from training.importing.labelled_photos import LabelledPhotos
from training.importing.script_parity import ScriptParity
from training.packaging import default_golden, golden, measure
from training.report import Content, LabelContent
from training.report.proportions import in_proportion


@dataclass(frozen=True, eq=False)
class ImportedGraphs:
    """The graphs, and their predictions on the measured photos."""

    has_head: bool
    """True if the graph ends with a pooled linear head."""
    has_embedding: bool
    """True if it has the output `embedding`."""
    sessions: Mapping[Precision, Session]
    int8_line: str
    """The outcome of the int8 gate, as one line."""
    measured: LabelledPhotos | None
    probabilities: Mapping[Precision, NDArray[np.float32]]
    """By precision, the probabilities (N, K) of the measured photos."""
    embeddings: Mapping[Precision, NDArray[np.float32]]
    """By precision, their embeddings (N, D); empty if the graph has none."""
    temperatures: Temperatures | None
    calibration: Calibration | None
    decisions: LabelDecisions | None
    """Of a multi-label model."""
    script_parity: ScriptParity | None
    """The comparison with a script of the user's."""


def metrics(
    exported: ImportedGraphs,
) -> dict[Precision, Metrics] | dict[Precision, MultiLabelMetrics]:
    """Measure each graph.

    The calibration error uses for each photo the temperature fitted without the photo's fold.
    """
    if exported.measured is None:
        return {}
    truth, on = exported.measured.truth, exported.measured.examples.data_name
    if exported.decisions is not None:
        matrix = exported.measured.label_matrix
        return {
            which: exported.decisions.metrics(rows, matrix, on)
            for which, rows in exported.probabilities.items()
        }
    if exported.temperatures is not None:
        on += "; ECE cross-fitted"
    return {
        which: measure.metrics(rows, truth, on, exported.temperatures)
        for which, rows in exported.probabilities.items()
    }


def record_golden(
    exported: ImportedGraphs,
    labels: tuple[Label, ...],
    spec: InputSpec,
    folder: Path,
    temporary: Path,
) -> Golden:
    """Record golden photos: some of the measured photos, or those of the default model.

    Args:
        exported: the graphs.
        labels: the labels of the bundle.
        spec: the input of the graphs.
        folder: the folder that becomes the bundle.
        temporary: a folder for files that are removed later.
    """
    if exported.measured is None:
        sources = default_golden.SOURCES
        files = default_golden.find(default_golden.FOLDER)
    else:
        examples = exported.measured.examples
        select = golden.select if exported.decisions is None else golden.select_labels
        selected = select(examples, exported.probabilities["fp32"].astype(np.float64))
        sources = golden.write(examples, selected, spec, temporary / "golden")
        files = [temporary / "golden" / name for name in sources]
    return golden.record(folder, files, sources, exported.sessions, labels, spec)


def report_content(
    measured: LabelledPhotos, exported: ImportedGraphs, manifest: Manifest
) -> Content | LabelContent:
    """Return the content of the bundle's report."""
    if exported.decisions is not None:
        return _label_content(measured, exported, exported.decisions, manifest)
    examples, uncalibrated = measured.examples, None
    if manifest.calibration is not None:
        logits = logits_of(exported.probabilities["fp32"])
        uncalibrated = calibration.softmax(logits * manifest.calibration.temperature)
    return Content(
        manifest=manifest,
        measured_on=examples.data_name,
        figures=manifest.single_label_metrics,
        truth=examples.truth,
        probabilities=exported.probabilities,
        names=[photo.file.name for photo in examples.photos],
        thumbnails=lambda index: in_proportion(
            measured.pixels[examples.rows[index]], manifest.input, examples.photos[index]
        ),
        uncalibrated=uncalibrated,
        int8=f"{exported.int8_line}.",
    )


def _label_content(
    measured: LabelledPhotos,
    exported: ImportedGraphs,
    decisions: LabelDecisions,
    manifest: Manifest,
) -> LabelContent:
    examples, found = measured.examples, decisions.calibration
    uncalibrated = None
    if found is not None:
        logits = (log_odds(exported.probabilities["fp32"]) - found.offsets) / found.scales
        uncalibrated = calibration.sigmoid(logits)
    return LabelContent(
        manifest=manifest,
        measured_on=examples.data_name,
        figures={
            which: figures
            for which, figures in manifest.metrics.items()
            if isinstance(figures, MultiLabelMetrics)
        },
        truth=measured.label_matrix,
        probabilities=exported.probabilities,
        names=[photo.file.name for photo in examples.photos],
        thumbnails=lambda index: in_proportion(
            measured.pixels[examples.rows[index]], manifest.input, examples.photos[index]
        ),
        uncalibrated=uncalibrated,
        int8=f"{exported.int8_line}.",
    )


def logits_of(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logarithm of a softmax: its logits, up to a constant in each row."""
    return np.asarray(np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)))
