"""Make a bundle from its manifest fields: the one place that makes a `Manifest`.

    graphs and golden photos in the folder, the fields -> Manifest
    Manifest -> report/index.html, where there is one
             -> README.md, the model card
             -> bundle.json, and the folder moves to its place

`hubel train`, `hubel import` and the default model all end here.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import bundle as bundles
from app.bundle import (
    MODEL_CARD,
    Baseline,
    Bundle,
    Calibration,
    DecisionRule,
    Golden,
    InputSpec,
    Label,
    Manifest,
    Metrics,
    MultiLabelMetrics,
    Precision,
    Task,
    Training,
    UnknownRule,
)
from training import report
from training.packaging import provenance, replacement


@dataclass(frozen=True)
class TrainingOrigin:
    """The origin of a model, for the field `training` of bundle.json."""

    recipe: str
    arguments: Mapping[str, Any]
    seed: int
    data: str
    """The fingerprint of the photos."""
    libraries: Sequence[str]
    """Distributions that the result depends on, besides the usual ones."""
    began: float
    """time.monotonic() at the start of the run."""


@dataclass(frozen=True, eq=False)
class ManifestFields:
    """All that bundle.json needs beside the files in the folder."""

    name: str
    version: int
    labels: tuple[Label, ...]
    input: InputSpec
    golden: Golden
    metrics: Mapping[Precision, Metrics] | Mapping[Precision, MultiLabelMetrics]
    origin: TrainingOrigin
    task: Task = "single_label"
    thresholds: tuple[float, ...] | None = None
    undecided: tuple[tuple[float, float], ...] | None = None
    calibration: Calibration | None = None
    unknown: UnknownRule | None = None
    decision: DecisionRule | None = None
    baseline: Baseline | None = None


def build_bundle(
    fields: ManifestFields,
    folder: Path,
    output: Path,
    *,
    report_content: Callable[[Manifest], report.Content | report.LabelContent] | None,
    model_card: Callable[[Manifest], str],
    report_progress: Callable[[str], None] = lambda _: None,
) -> Bundle:
    """Write report, model card and bundle.json into `folder`, and move it to `output`.

    Args:
        fields: the contents of bundle.json.
        folder: holds the graphs and the golden photos.
        output: the place of the bundle; a bundle there is replaced, and foreign files are kept.
        report_content: returns the content of the report; None: no report.
        model_card: returns the model card in Markdown.
        report_progress: called for each foreign file that has to be renamed.
    """
    manifest = _manifest(fields, folder)
    if report_content is not None:
        report.write(report_content(manifest), folder / "report")
        manifest = manifest.model_copy(update={"files": _hashes(folder)})
    (folder / MODEL_CARD).write_text(model_card(manifest), encoding="utf-8")
    card = bundles.record_files(folder, [MODEL_CARD])[MODEL_CARD]
    manifest = manifest.model_copy(update={"model_card_sha256": card.sha256})
    return replacement.save(manifest, folder, output, report_progress)


def _manifest(fields: ManifestFields, folder: Path) -> Manifest:
    origin = fields.origin
    return Manifest(
        name=fields.name,
        version=fields.version,
        task=fields.task,
        labels=fields.labels,
        thresholds=fields.thresholds,
        undecided=fields.undecided,
        input=fields.input,
        files=_hashes(folder),
        golden=fields.golden,
        metrics=fields.metrics,
        calibration=fields.calibration,
        unknown=fields.unknown,
        decision=fields.decision,
        baseline=fields.baseline,
        training=Training(
            recipe=origin.recipe,
            arguments=origin.arguments,
            seed=origin.seed,
            data=origin.data,
            versions=provenance.versions(*origin.libraries),
            git_commit=provenance.git_commit(),
            seconds=round(time.monotonic() - origin.began, 1),
        ),
    )


def _hashes(folder: Path) -> Mapping[str, Any]:
    """Hash every file of the bundle but the model card."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return bundles.record_files(folder, sorted(name for name in names if name != MODEL_CARD))
