"""The recipe `finetune`: the whole EfficientNet-Lite goes on learning, from its ImageNet weights.

    photos -> embeddings of the published network -> a head, fitted as the recipe `head` does
           -> that head on that network: where training begins, and the first candidate
           -> epochs: random cuts and colours, label smoothing, warm-up and cosine, averaged weights
           -> the best of them on val                                              loop
           -> temperature, prototypes, threshold                                   network_outcome

A fitted head first, because a random one tears at the features before it has learnt anything
(Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution", arXiv:2202.10054). So on val it is never worse than where it began.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from torch import nn

from app.bundle import InputSpec
from app.runtime.session import Session
from training import last_layer
from training.contracts import ReportProgress, TrainingData, TrainingResult
from training.data.split import FOLDS, deal
from training.last_layer import Head
from training.networks.efficientnet_lite import EfficientNetLite
from training.networks.pretrained_weights import load_pretrained
from training.onnx_graph.efficientnet_lite import export
from training.parallel import run_graph
from training.recipes.network_result import augmentation_input, class_weights, network_result
from training.torch_loop.augmentation import cut_and_coloured
from training.torch_loop.checkpoint import Checkpoint, identity
from training.torch_loop.config import TrainConfig, TrainValPhotos, cosine
from training.torch_loop.device import Device, choose
from training.torch_loop.fit import fit

INPUT = InputSpec(size=240, crop=1.0, resample="box")
"""The default bundle's; DECISIONS.md has what others gave."""
EPOCHS = 8
_MARGIN = 2 / 15
_BATCH = 32
_RATE = 3e-4
_DECAY = 0.02
_PATIENCE = 3


@dataclass(frozen=True)
class FinetuneRecipe:
    """A `training.contracts.Recipe`."""

    backbone: Literal["lite0", "lite2"] = "lite0"
    epochs: int = EPOCHS
    device: Device = "auto"
    resume: bool = False
    name: str = "finetune"
    libraries: tuple[str, ...] = ("torch", "scikit-learn")
    input: InputSpec = INPUT

    @property
    def augmentation_input(self) -> InputSpec:
        """What is cut from."""
        return augmentation_input(self.input, _MARGIN)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Which network, and for how long."""
        return {"backbone": self.backbone, "epochs": self.epochs}

    def train(
        self,
        training_data: TrainingData,
        scratch: Path,
        checkpoint: Path,
        report_progress: ReportProgress,
    ) -> TrainingResult:
        """Fit a head, then train all of it."""
        hardware = choose(self.device)
        report_progress(f"training on {hardware}")
        network = load_pretrained(self.backbone)
        if not self.resume:
            fitted = _first_head(network, training_data, scratch)
            network.head = _layer(fitted)
        else:
            network.head = nn.Linear(network.head.in_features, len(training_data.examples.labels))
        network, history = fit(
            network,
            TrainValPhotos(
                training_data,
                training_data.examples.of("train"),
                training_data.examples.of("val"),
                class_weights(training_data),
            ),
            self._config(),
            Checkpoint(checkpoint, identity(self, training_data)),
            hardware,
            seed=training_data.seed,
            resume=self.resume,
            report_progress=report_progress,
        )
        best = max(history, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
        report_progress(f"the best on val is epoch {best.number}: {100 * best.val_accuracy:.1f} %")
        return network_result(
            network,
            partial(export, network, self.input.size),
            training_data,
            history,
            scratch=scratch,
            selected={"best_epoch": best.number, "trained_in": str(hardware)},
            card=self._card(best.number),
            report_progress=report_progress,
        )

    def _config(self) -> TrainConfig:
        return TrainConfig(
            epochs=self.epochs,
            batch=_BATCH,
            micro_batch=_BATCH,
            label_smoothing=0.1,
            optimizers=lambda network: [_adam(network)],
            schedule=cosine,
            augment=cut_and_coloured(self.input.size),
            ema_epochs=1.0,
            patience=_PATIENCE,
        )

    def _card(self, best: int) -> str:
        began = "its published ImageNet weights (Apache-2.0) and a fitted last layer"
        if not best:
            how = (
                f"EfficientNet-{self.backbone.capitalize()} with {began}. Training all of it was "
                f"tried for up to {self.epochs} epochs, and did no better on val."
            )
        else:
            how = (
                f"EfficientNet-{self.backbone.capitalize()}, trained whole from {began}: AdamW, "
                f"random cuts and colours, label smoothing 0.1, weights averaged; epoch {best} of "
                f"{self.epochs} was the best on val and is what this is."
            )
        return textwrap.fill(how, 99)


def _first_head(network: EfficientNetLite, training_data: TrainingData, scratch: Path) -> Head:
    """A logistic regression on the published network's embeddings of train."""
    file = scratch / "published.onnx"
    onnx.save(export(network, training_data.input.size), file)
    own = training_data.examples.of("train")
    rows = training_data.examples.rows[own].tolist()
    (embeddings,) = run_graph(
        Session(file, "cpu", "fp32"), ["embedding"], training_data.pixels, rows, "embedding photos"
    )
    truth = training_data.examples.truth[own]
    folds = deal(truth, training_data.examples.groups[own], [1.0] * FOLDS, training_data.seed)
    return last_layer.fit(embeddings, truth, last_layer.choose(embeddings, truth, folds).strength)


def _layer(fitted: Head) -> nn.Linear:
    classes, width = fitted.weight.shape
    layer = nn.Linear(width, classes)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(fitted.weight)))
        layer.bias.copy_(torch.from_numpy(fitted.bias))
    return layer


def _adam(network: nn.Module) -> torch.optim.Optimizer:
    """AdamW; biases and normalisation don't decay."""
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    vectors = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": _DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=_RATE)
