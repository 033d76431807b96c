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

from app.bundle import InputSpec
from training.contracts import LabelTrainingResult, ReportProgress, TrainingData, TrainingResult
from training.data.split import FOLDS
from training.errors import DataUnusable
from training.onnx_graph.head import replace_head
from training.recipes import label_head
from training.recipes.backbone import Backbone
from training.recipes.embedding import Embed, embed_here
from training.recipes.head_training import Quality, TrainedHead, train_head
from training.report import Curve, Line


@dataclass(frozen=True)
class HeadRecipe:
    """The recipe `head`, with its backbone."""

    backbone: Backbone
    """The network that is used up to its embedding."""
    quality: Quality = "fast"
    """fast; or best, which takes longer and tries mirrored photos."""
    embed: Embed = embed_here
    """Computes the embeddings."""
    name: str = "head"
    libraries: tuple[str, ...] = ("scikit-learn",)
    augmentation_input: None = None

    @property
    def input(self) -> InputSpec:
        """The backbone's input."""
        return self.backbone.input

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The backbone's name and the quality."""
        return {"backbone": self.backbone.name, "quality": self.quality}

    def train(
        self,
        training_data: TrainingData,
        temporary: Path,
        checkpoint: Path,
        report_progress: ReportProgress,
    ) -> TrainingResult:
        """Fit the head, and put it onto the backbone."""
        del checkpoint  # a head takes seconds
        graphs = self.backbone.graphs(temporary)
        trained = train_head(
            training_data, graphs["fp32"], self.quality, self.embed, report_progress
        )
        test, of_test = training_data.examples.indices_of("test"), trained.test_embeddings
        return TrainingResult(
            graph=_with_new_head(graphs["fp32"], trained),
            int8=_with_new_head(graphs["int8"], trained) if "int8" in graphs else None,
            reference="scikit-learn",
            expected=trained.predictor.probabilities(of_test, test),
            logits=trained.head.logits(of_test),
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
                "mirrored": trained.uses_mirrored,
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
        checkpoint: Path,
        accept_precision: float | None,
        report_progress: ReportProgress,
    ) -> LabelTrainingResult:
        """Fit a head with a sigmoid for each label, and put it onto the backbone."""
        del checkpoint
        if self.quality == "best":
            raise DataUnusable(
                "--quality best is for photos with one label each, not for several. Leave it out."
            )
        graphs, description = self.backbone.graphs(temporary), self.backbone.description
        return label_head.train(
            training_data, graphs, description, accept_precision, self.embed, report_progress
        )

    def follow(self, training_data: TrainingData | None, temporary: Path, checkpoint: Path) -> None:
        """Raise: one process fits a last layer in seconds."""
        raise DataUnusable("The recipe head trains in one process. Start one.")

    def can_resume(self, training_data: TrainingData, checkpoint: Path) -> bool:
        """Return False: a head takes seconds, so it writes no checkpoint."""
        del training_data, checkpoint
        return False

    def _card(self, trained: TrainedHead) -> str:
        mirrored = " and their mirror images, which improved it" if trained.uses_mirrored else ""
        return textwrap.fill(
            f"{self.backbone.description} The last layer is a multinomial logistic regression "
            f"(scikit-learn, C = {trained.c:g}, selected by {FOLDS}-fold cross-validation over "
            f"train and val, then fitted on all of them{mirrored}).",
            99,
        )


def _with_new_head(graph: Path, trained: TrainedHead) -> onnx.ModelProto:
    return replace_head(graph, trained.head, trained.temperature, trained.prototypes)


def _losses_by_c(trained: TrainedHead) -> Curve:
    return Curve(
        title="Inverse regularisation strength C, cross-validated over train and val",
        x="C (the larger, the weaker the regularisation)",
        y="negative log-likelihood",
        lines=tuple(
            Line(name, list(losses.values()), list(losses))
            for name, losses in trained.losses.items()
        ),
        logarithmic=True,
        selected=trained.c,
    )
