"""The model bundle: one self-contained folder with graphs, metadata and golden photos.

    <name>/bundle.json       the `Manifest` below; written last
    <name>/model.onnx        fp32
    <name>/model.int8.onnx   static QDQ; present only if it passed its gates
    <name>/golden/           a few small photos, and their expected probabilities
    <name>/README.md         the model card

serving:   folder -> `load` (schema, seal) -> `verify_files` (bytes, sha256)
                  -> app.runtime.verify (graph, golden photos)
training:  folder being built -> `record_files` -> `write_manifest`
                  -> training.packaging.replacement, which renames the folder into place

The seal is a sha256 of the rest of bundle.json. It detects changes that pass every other check,
such as labels in another order or another crop.
"""

from app.bundle.decision_rules import (
    SURE_FROM,
    AcceptedFigures,
    DecisionRule,
    LabelDecision,
    UnknownRule,
)
from app.bundle.figures import (
    AnyMetrics,
    Baseline,
    Calibration,
    EmbeddingBaseline,
    Metrics,
    MultiLabelMetrics,
)
from app.bundle.folder import (
    MANIFEST,
    MODEL_CARD,
    Bundle,
    load,
    record_files,
    verify_files,
    write_manifest,
)
from app.bundle.input_spec import Fit, InputSpec, Resample, Side
from app.bundle.manifest import FileRecord, Golden, GoldenPhoto, Label, Manifest, Name, Training
from app.bundle.part import MODEL_FILES, Precision, Share, Task

__all__ = [
    "MANIFEST",
    "MODEL_CARD",
    "MODEL_FILES",
    "SURE_FROM",
    "AcceptedFigures",
    "AnyMetrics",
    "Baseline",
    "Bundle",
    "Calibration",
    "DecisionRule",
    "EmbeddingBaseline",
    "FileRecord",
    "Fit",
    "Golden",
    "GoldenPhoto",
    "InputSpec",
    "Label",
    "LabelDecision",
    "Manifest",
    "Metrics",
    "MultiLabelMetrics",
    "Name",
    "Precision",
    "Resample",
    "Share",
    "Side",
    "Task",
    "Training",
    "UnknownRule",
    "load",
    "record_files",
    "verify_files",
    "write_manifest",
]
