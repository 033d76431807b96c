"""What a recipe is given, and what it gives back: the two sides that training.pipeline joins."""

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
from training.report import Curve

Integers = NDArray[np.intp]
ReportProgress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What there is to learn from."""

    examples: Examples
    pixels: NDArray[np.uint8]
    """(R, S, S, 3) RGB, as they are when served; each photo has a row."""
    augmentation_input: NDArray[np.uint8]
    """(R, S', S', 3) RGB, a little larger, to be cut differently each time; `pixels` itself for a
    recipe that asks for no more."""
    input: InputSpec
    seed: int


class HeldOutPredictor(Protocol):
    """Answers by a graph as a new photo would get them: by what did not learn from the photo."""

    def predict(self, session: Session, of: Integers, label: str) -> NDArray[np.floating]:
        """Probabilities (M, K) of the photos `of`; `label` stands before the bar."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What a recipe learnt. Of K classes, and T photos of the test split."""

    graph: onnx.ModelProto
    """fp32, with its temperature."""
    int8: onnx.ModelProto | None
    """The same in int8, where the recipe has it without asking the photos."""
    reference: str
    """Whose arithmetic `wanted` is: `PyTorch`."""
    expected: NDArray[np.floating]
    """(P, K) what the graph must give for the first P test photos."""
    logits: NDArray[np.floating]
    """(T, K), without the temperature."""
    temperature: float
    fitted_on: str
    """Which photos gave the temperature, in words."""
    unknown: UnknownRule
    predictor: HeldOutPredictor
    calibration_set: Integers
    """Indices of the photos that int8's ranges may be taken from."""
    holdout: Integers
    """Indices of those that int8 may be compared with fp32 on, `ranged` left out."""
    selected: Mapping[str, Any]
    """What the recipe settled by itself, for bundle.json."""
    curves: tuple[Curve, ...]
    card: str
    """How it was trained: the section `Recipe` of the model card, in Markdown."""


class Recipe(Protocol):
    """A way to train."""

    @property
    def name(self) -> str:
        """As --recipe has it."""
        ...

    @property
    def libraries(self) -> Sequence[str]:
        """Those that the result depends on, besides the usual."""
        ...

    @property
    def input(self) -> InputSpec:
        """What the network reads."""
        ...

    @property
    def augmentation_input(self) -> InputSpec | None:
        """What it is augmented from, where that is not the same."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Its options, for bundle.json."""
        ...

    def train(
        self,
        training_data: TrainingData,
        scratch: Path,
        checkpoint: Path,
        report_progress: ReportProgress,
    ) -> TrainingResult:
        """Train.

        Args:
            training_data: the photos.
            scratch: a folder for files that go when training ends.
            checkpoint: a folder for what an interrupted run leaves, which need not be there.
            report_progress: says what happens, a line each.
        """
        ...
