"""The recipe `head`: a backbone that stays as it is, and a new last layer.

    photos -> head, temperature, prototypes, threshold    head_learning
           -> grafted onto the backbone's graphs, fp32 and int8    graft

What has to be chosen is chosen by cross-validation over train and val together, which uses every
photo; test is only looked at in the end (training.packaging.build).
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from app.bundle import Bundle, InputSpec, Precision
from training.contracts import ReportProgress, TrainingData, TrainingResult
from training.data.split import FOLDS
from training.onnx_graph.head import graft
from training.recipes.head_training import Learnt, learn
from training.report import Curve, Line


@dataclass(frozen=True)
class HeadRecipe:
    """A `training.contracts.Recipe`."""

    backbone: Bundle
    """Whose graph is used up to its embedding."""
    name: str = "head"
    libraries: tuple[str, ...] = ("scikit-learn",)
    augmentation_input: None = None

    @property
    def input(self) -> InputSpec:
        """The backbone's."""
        return self.backbone.manifest.input

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Which backbone it was."""
        return {"backbone": f"{self.backbone.manifest.name} {self.backbone.manifest.version}"}

    def train(
        self,
        training_data: TrainingData,
        scratch: Path,
        checkpoint: Path,
        report_progress: ReportProgress,
    ) -> TrainingResult:
        """Fit the head, and put it on the backbone."""
        del scratch, checkpoint  # it takes seconds
        learnt = learn(training_data, self.backbone, report_progress)
        tested = training_data.examples.of("test")
        return TrainingResult(
            graph=self._grafted("fp32", learnt),
            int8=self._grafted("int8", learnt) if self._has_int8 else None,
            reference="scikit-learn",
            expected=learnt.predictor.probabilities(learnt.embeddings[tested], tested),
            logits=learnt.head.logits(learnt.embeddings[tested]),
            temperature=learnt.temperature,
            fitted_on="the temperature was fitted on the others, each by a head that did not see "
            "it",
            unknown=learnt.unknown,
            predictor=learnt.predictor,
            calibration_set=training_data.examples.of("train", "val"),
            holdout=np.arange(len(training_data.examples.truth)),
            selected={
                "strength": learnt.strength,
                "folds": FOLDS,
                "prototypes": len(learnt.prototypes),
            },
            curves=(_strengths(learnt),),
            card=self._card(learnt),
        )

    @property
    def _has_int8(self) -> bool:
        return "int8" in self.backbone.manifest.precisions

    def _grafted(self, precision: Precision, learnt: Learnt) -> onnx.ModelProto:
        source = self.backbone.model_path(precision)
        return graft(source, learnt.head, learnt.temperature, learnt.prototypes)

    def _card(self, learnt: Learnt) -> str:
        return textwrap.fill(
            f"The network is that of the bundle {self.metadata['backbone']}, unchanged up to its "
            "embedding; see its card for the licence of its weights. The last layer is a "
            f"multinomial logistic regression (scikit-learn, C = {learnt.strength:g}, chosen by "
            f"{FOLDS}-fold cross-validation over train and val, then fitted on all of them).",
            99,
        )


def _strengths(learnt: Learnt) -> Curve:
    losses = learnt.losses
    return Curve(
        title="Strengths tried, cross-validated over train and val",
        x="strength (C: the larger, the freer)",
        y="negative log-likelihood",
        lines=(Line("out of fold", list(losses.values()), list(losses)),),
        logarithmic=True,
        selected=learnt.strength,
    )
