"""The contract between training.pipeline and the recipes.

TrainingData -> Recipe.train -> TrainingResult
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from app.bundle import InputSpec, UnknownRule
from app.runtime.session import Session
from training.data.examples import Examples
from training.label_calibration import LabelCalibration
from training.report import Curve

Integers = NDArray[np.intp]
ReportProgress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The photos, their classes and their split: the input of a recipe."""

    examples: Examples
    pixels: NDArray[np.uint8]
    """(R, S, S, 3) RGB, the pixels that the service would read; each photo has a row."""
    augmentation_input: NDArray[np.uint8]
    """(R, S', S', 3) RGB, a little larger, for random crops; `pixels` itself for a recipe without
    an augmentation input."""
    input: InputSpec
    seed: int


class HeldOutPredictor(Protocol):
    """A predictor that predicts each photo with a model that was not trained on it."""

    def predict(
        self, session: Session, photos: Integers, progress_label: str
    ) -> NDArray[np.floating]:
        """Return the probabilities (M, K) of `photos`; `progress_label` is the progress bar's."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """The result of a recipe, for K classes and T photos of the test split."""

    graph: onnx.ModelProto
    """The fp32 graph, with its temperature."""
    int8: onnx.ModelProto | None
    """The backbone's int8 graph with the new head; None for recipes without a backbone bundle."""
    reference: str
    """The name of the reference for `expected` in messages: PyTorch or scikit-learn."""
    expected: NDArray[np.floating]
    """(P, K) the probabilities that the graph must give for the first P test photos."""
    logits: NDArray[np.floating]
    """(T, K), without the temperature."""
    temperature: float
    temperature_photos: str
    """A description of the photos that the temperature was fitted on."""
    unknown: UnknownRule
    predictor: HeldOutPredictor
    held_out: Integers
    """Indices of the photos of train and val that `predictor` has not learnt from."""
    held_out_photos: str
    """A description of them, such as "out of fold"."""
    held_out_familiarity: NDArray[np.floating] | None
    """(M,) of them, by prototypes that were made without them; None where `unknown` does not use
    it."""
    calibration_set: Integers
    """Indices of the photos that may calibrate the int8 graph."""
    int8_holdout_candidates: Integers
    """Indices of the photos on which int8 may be compared; the caller removes the calibration
    set."""
    metadata: Mapping[str, Any]
    """Values found during training, for bundle.json."""
    curves: tuple[Curve, ...]
    card: str
    """The section `Recipe` of the model card, in Markdown."""


@dataclass(frozen=True, eq=False)
class LabelTrainingResult:
    """The result of a recipe for a multi-label model of K labels and T photos of the test split."""

    graph: onnx.ModelProto
    """The fp32 graph, with the labels' calibration."""
    int8: onnx.ModelProto | None
    """The backbone's int8 graph with the new head; None if the backbone has none."""
    reference: str
    """The name of the reference for `expected` in messages."""
    expected: NDArray[np.floating]
    """(P, K) the probabilities that the graph must give for the first P test photos."""
    logits: NDArray[np.floating]
    """(T, K), without the calibration."""
    calibration: LabelCalibration
    calibration_photos: str
    """A description of the photos that the calibration was fitted on."""
    thresholds: tuple[float, ...]
    """(K,) from which the labels are accepted."""
    unknown: UnknownRule
    predictor: HeldOutPredictor
    calibration_set: Integers
    """Indices of the photos that may calibrate the int8 graph."""
    int8_holdout_candidates: Integers
    """Indices of the photos on which int8 may be compared."""
    metadata: Mapping[str, Any]
    """Values found during training, for bundle.json."""
    curves: tuple[Curve, ...]
    card: str
    """The section `Recipe` of the model card, in Markdown."""


class Recipe(Protocol):
    """A way to train."""

    @property
    def name(self) -> str:
        """The value of --recipe."""
        ...

    @property
    def libraries(self) -> Sequence[str]:
        """Distributions that the result depends on, besides the usual ones."""
        ...

    @property
    def input(self) -> InputSpec:
        """The input of the network."""
        ...

    @property
    def augmentation_input(self) -> InputSpec | None:
        """The larger input that augmentation crops from; None: the input itself."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The recipe's options, for bundle.json."""
        ...

    def train(
        self,
        training_data: TrainingData,
        temporary: Path,
        checkpoint: Path,
        report_progress: ReportProgress,
    ) -> TrainingResult:
        """Train on the photos and return the graph with its predictions.

        Args:
            training_data: the photos.
            temporary: a folder for files that are removed when training ends.
            checkpoint: a folder from which an interrupted run is resumed; it may not exist yet.
            report_progress: called with each line of progress.
        """
        ...

    def train_labels(
        self,
        training_data: TrainingData,
        temporary: Path,
        checkpoint: Path,
        accept_precision: float | None,
        report_progress: ReportProgress,
    ) -> LabelTrainingResult:
        """Train on photos with a label matrix and return the graph with its predictions.

        Args:
            training_data: the photos.
            temporary: a folder for files that are removed when training ends.
            checkpoint: a folder from which an interrupted run is resumed; it may not exist yet.
            accept_precision: the promised precision of each accepted label; None: the thresholds
                with the best F1 are chosen.
            report_progress: called with each line of progress.
        """
        ...

    def can_resume(self, training_data: TrainingData, checkpoint: Path) -> bool:
        """Return whether `checkpoint` holds the state of a run of this recipe on these photos."""
        ...

    def follow(self, training_data: TrainingData | None, temporary: Path, checkpoint: Path) -> None:
        """Train in a process that doesn't lead, and drop the result.

        Args:
            training_data: the photos, in a process that has read them; None: another one has.
            temporary: a folder for files that are removed when training ends.
            checkpoint: the folder of the checkpoint, which the process that leads reads.
        """
        ...
