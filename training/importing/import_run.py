"""The inputs of an import: the arguments of the command, the classifier, and the folders."""

from dataclasses import dataclass
from pathlib import Path

from app.bundle import MODEL_FILES, InputSpec, Label
from training.contracts import ReportProgress
from training.importing import script_parity
from training.importing.classifier_file import ClassifierFile
from training.importing.presets import StatedPreprocessing
from training.importing.source import StatedProperties


@dataclass(frozen=True)
class Arguments:
    """The arguments of the command."""

    model: Path
    labels: Path
    output: Path
    properties: StatedProperties
    preprocessing: StatedPreprocessing
    name: str
    version: int
    seed: int
    force: bool = False
    """Whether foreign files in the output are kept beside the bundle, or end the import."""
    calibrate: Path | None = None
    int8: Path | None = None
    references: tuple[str, ...] = ()
    """The values of --reference."""
    reference_tolerance: float = script_parity.DEFAULT_TOLERANCE


@dataclass(frozen=True, eq=False)
class ImportRun:
    """The inputs of the import, and the folders that it works in."""

    arguments: Arguments
    classifier: ClassifierFile
    folder: Path
    """The folder that becomes the bundle."""
    temporary: Path
    report_progress: ReportProgress

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels of the bundle."""
        return self.classifier.labels

    @property
    def spec(self) -> InputSpec:
        """The input of the bundle."""
        return self.classifier.spec

    @property
    def file(self) -> Path:
        """The fp32 graph."""
        return self.folder / MODEL_FILES["fp32"]
