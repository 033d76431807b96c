"""The recipe `head`: an unchanged backbone with a new last layer.

    photos -> head, temperature, prototypes, threshold             head_training
           -> put onto the backbone's graphs, fp32 and int8    onnx_graph.head

Cross-validation over train and val together selects C, so that every photo is used. Nothing is
fitted on the test split; packaging.recipe_result measures on it.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from app.bundle import Bundle, InputSpec, Precision
from training.contracts import LabelTrainingResult, ReportProgress, TrainingData, TrainingResult
from training.data.split import FOLDS
from training.onnx_graph.head import replace_head
from training.recipes import label_head
from training.recipes.head_training import TrainedHead, train_head
from training.report import Curve, Line


@dataclass(frozen=True)
class HeadRecipe:
    """The recipe `head`, with its backbone."""

    backbone: Bundle
    """The bundle whose graph is used up to its embedding."""
    name: str = "head"
    libraries: tuple[str, ...] = ("scikit-learn",)
    augmentation_input: None = None

    @property
    def input(self) -> InputSpec:
        """The backbone's input."""
        return self.backbone.manifest.input

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The backbone's name and version."""
        return {"backbone": f"{self.backbone.manifest.name} {self.backbone.manifest.version}"}

    def train(
        self,
        training_data: TrainingData,
        temporary: Path,
        checkpoint: Path,
        report_progress: ReportProgress,
    ) -> TrainingResult:
        """Fit the head, and put it onto the backbone."""
        del temporary, checkpoint  # no temporary files and no checkpoint are needed
        trained = train_head(training_data, self.backbone, report_progress)
        test = training_data.examples.indices_of("test")
        return TrainingResult(
            graph=self._with_new_head("fp32", trained),
            int8=self._with_new_head("int8", trained) if self._has_int8 else None,
            reference="scikit-learn",
            expected=trained.predictor.probabilities(trained.embeddings[test], test),
            logits=trained.head.logits(trained.embeddings[test]),
            temperature=trained.temperature,
            temperature_photos="the temperature was fitted on out-of-fold predictions of "
            "train and val",
            unknown=trained.unknown,
            predictor=trained.predictor,
            held_out=training_data.examples.indices_of("train", "val"),
            held_out_photos="train and val out of fold",
            held_out_familiarity=trained.familiarity,
            calibration_set=training_data.examples.indices_of("train", "val"),
            int8_holdout_candidates=np.arange(len(training_data.examples.truth)),
            metadata={
                "strength": trained.c,
                "folds": FOLDS,
                "prototypes": len(trained.prototypes),
            },
            curves=(_losses_by_c(trained),),
            card=self._card(trained),
        )

    def train_labels(
        self,
        training_data: TrainingData,
        temporary: Path,
        accept_precision: float | None,
        report_progress: ReportProgress,
    ) -> LabelTrainingResult:
        """Fit a head with a sigmoid for each label, and put it onto the backbone."""
        del temporary
        graphs = {
            which: self.backbone.model_path(which) for which in self.backbone.manifest.precisions
        }
        return label_head.train(
            training_data, graphs, self._description, accept_precision, report_progress
        )

    @property
    def _description(self) -> str:
        return (
            f"The network is that of the bundle {self.metadata['backbone']}, unchanged up to its "
            "embedding; see its card for the licence of its weights."
        )

    def can_resume(self, training_data: TrainingData, checkpoint: Path) -> bool:
        """Return False: a head takes seconds, so it writes no checkpoint."""
        del training_data, checkpoint
        return False

    @property
    def _has_int8(self) -> bool:
        return "int8" in self.backbone.manifest.precisions

    def _with_new_head(self, precision: Precision, trained: TrainedHead) -> onnx.ModelProto:
        source = self.backbone.model_path(precision)
        return replace_head(source, trained.head, trained.temperature, trained.prototypes)

    def _card(self, trained: TrainedHead) -> str:
        return textwrap.fill(
            f"{self._description} The last layer is a multinomial logistic regression "
            f"(scikit-learn, C = {trained.c:g}, selected by {FOLDS}-fold cross-validation over "
            "train and val, then fitted on all of them).",
            99,
        )


def _losses_by_c(trained: TrainedHead) -> Curve:
    losses = trained.losses
    return Curve(
        title="Inverse regularisation strength C, cross-validated over train and val",
        x="C (the larger, the weaker the regularisation)",
        y="negative log-likelihood",
        lines=(Line("out of fold", list(losses.values()), list(losses)),),
        logarithmic=True,
        selected=trained.c,
    )
