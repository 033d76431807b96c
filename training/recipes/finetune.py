"""The recipe `finetune`: all layers of EfficientNet-Lite, fine-tuned from its ImageNet weights.

    photos -> embeddings of the pretrained network -> a head, fitted as in the recipe `head`
           -> that head on that network: the start of training, and the first candidate
           -> epochs: random crops and colours, label smoothing, averaged weights    torch_loop.fit
           -> the best epoch on val
           -> temperature, prototypes, threshold                                     network_result

Training starts with a fitted head, because a random one would distort the features in the first
steps (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution", arXiv:2202.10054). The start is also the first candidate, so the result is
never worse on val than the start.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from torch import nn

from app.bundle import InputSpec
from app.runtime.session import Session
from training import label_layer
from training.contracts import LabelTrainingResult, ReportProgress, TrainingData, TrainingResult
from training.data.split import folds, folds_of_classes
from training.last_layer import Head, cross_validate, fit_head
from training.networks.efficientnet_lite import EfficientNetLite, load_pretrained
from training.onnx_graph.efficientnet_lite import export
from training.parallel import run_graph
from training.processes import of_environment
from training.recipes.network_label_result import network_label_result
from training.recipes.network_result import network_result
from training.torch_loop.augmentation import random_crop_and_jitter
from training.torch_loop.checkpoint import Checkpoint, run_properties
from training.torch_loop.config import EpochResult, TrainConfig, cosine, train_val_photos
from training.torch_loop.device import DeviceName, select_device
from training.torch_loop.fit import fit
from training.torch_loop.process_group import join

INPUT = InputSpec(size=240, crop=1.0, resample="box")
"""The input of the default bundle; docs/experiments.md (2026-11-22) compares others."""
EPOCHS = 8
_CROP_MARGIN = 2 / 15
"""Margin of the augmentation input: its side is (1 + this) times the side of the input."""
_BATCH = 32
_RATE = 3e-4
_WEIGHT_DECAY = 0.02
_PATIENCE = 3


@dataclass(frozen=True)
class FinetuneRecipe:
    """The recipe `finetune`, with its options."""

    backbone: Literal["lite0", "lite2"] = "lite0"
    epochs: int = EPOCHS
    device: DeviceName = "auto"
    resume: bool = False
    name: str = "finetune"
    libraries: tuple[str, ...] = ("torch", "scikit-learn")
    input: InputSpec = INPUT

    @property
    def augmentation_input(self) -> InputSpec:
        """The input with a margin to crop from, no larger than the canvas."""
        size = min(self.input.canvas, round(self.input.height * (1 + _CROP_MARGIN)))
        return self.input.model_copy(update={"size": size, "resample": "bicubic"})

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The backbone and the number of epochs."""
        return {"backbone": self.backbone, "epochs": self.epochs}

    def train(
        self,
        training_data: TrainingData,
        temporary: Path,
        checkpoint: Path,
        report_progress: ReportProgress,
    ) -> TrainingResult:
        """Fit a head, then train all layers."""
        fitted = self._fit(training_data, temporary, checkpoint, report_progress)
        return network_result(
            fitted.network,
            fitted.export,
            training_data,
            fitted.history,
            temporary=temporary,
            metadata=fitted.metadata,
            card=self._card(fitted.best_epoch),
            report_progress=report_progress,
        )

    def train_labels(
        self,
        training_data: TrainingData,
        temporary: Path,
        checkpoint: Path,
        accept_precision: float | None,
        report_progress: ReportProgress,
    ) -> LabelTrainingResult:
        """Fit a head with a logit for each label, then train all layers."""
        fitted = self._fit(training_data, temporary, checkpoint, report_progress)
        return network_label_result(
            fitted.network,
            fitted.export,
            training_data,
            fitted.history,
            temporary=temporary,
            accept_precision=accept_precision,
            metadata=fitted.metadata,
            card=self._card(fitted.best_epoch),
            report_progress=report_progress,
        )

    def follow(self, training_data: TrainingData | None, temporary: Path, checkpoint: Path) -> None:
        """Train beside the process that leads."""
        self._fit(training_data, temporary, checkpoint, lambda _: None)

    def _fit(
        self,
        training_data: TrainingData | None,
        temporary: Path,
        checkpoint: Path,
        report_progress: ReportProgress,
    ) -> "_Fitted":
        processes = of_environment()
        device = select_device(self.device, processes.gpu)
        report_progress(f"training on {device}{processes}")
        network = load_pretrained(self.backbone)
        with join(device.torch_device) as group:
            training_data = group.shared(training_data)
            if self.resume or not group.is_leader:  # its weights come from elsewhere
                labels = len(training_data.examples.labels)
                network.head = nn.Linear(network.head.in_features, labels)
            else:
                network.head = _linear_layer(_fit_first_head(network, training_data, temporary))
            network, history = fit(
                network,
                train_val_photos(training_data),
                self._config(),
                Checkpoint(checkpoint, run_properties(self, training_data))
                if group.is_leader
                else None,
                device,
                seed=training_data.seed,
                resume=self.resume,
                report_progress=report_progress,
                group=group,
            )
        fitted = _Fitted(network, history, self.input.height, f"{device}{processes}")
        report_progress(
            f"the best on val is epoch {fitted.best.number}: {100 * fitted.best.val_accuracy:.1f} %"
        )
        return fitted

    def can_resume(self, training_data: TrainingData, checkpoint: Path) -> bool:
        """Return whether `checkpoint` holds the state of this run."""
        return Checkpoint(checkpoint, run_properties(self, training_data)).exists()

    def _config(self) -> TrainConfig:
        return TrainConfig(
            epochs=self.epochs,
            batch=_BATCH,
            micro_batch=_BATCH,
            label_smoothing=0.1,
            optimizers=lambda network: [_adamw(network)],
            schedule=cosine,
            augment=random_crop_and_jitter(self.input.height),
            ema_epochs=1.0,
            patience=_PATIENCE,
        )

    def _card(self, best_epoch: int) -> str:
        network = f"EfficientNet-{self.backbone.capitalize()}"
        start = "its published ImageNet weights (Apache-2.0) and a fitted last layer"
        if best_epoch:
            text = (
                f"{network}, with all layers trained from {start}: AdamW, random crops and "
                f"colours, label smoothing 0.1, averaged weights. Epoch {best_epoch} of "
                f"{self.epochs} was the best on val; this bundle has its weights."
            )
        else:
            text = (
                f"{network} with {start}. Training all layers for up to {self.epochs} epochs gave "
                "no better result on val."
            )
        return textwrap.fill(text, 99)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A trained network."""

    network: EfficientNetLite
    history: Sequence[EpochResult]
    size: int
    device: str

    @property
    def best(self) -> EpochResult:
        """The epoch whose weights the network has."""
        return max(self.history, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))

    @property
    def best_epoch(self) -> int:
        return self.best.number

    @property
    def metadata(self) -> Mapping[str, Any]:
        return {"best_epoch": self.best_epoch, "trained_in": self.device}

    def export(self, temperature: float) -> onnx.ModelProto:
        """Return the graph."""
        return export(self.network.weights(), self.size, temperature)


def _fit_first_head(
    network: EfficientNetLite, training_data: TrainingData, temporary: Path
) -> Head:
    """Fit a logistic regression on the pretrained network's embeddings of train."""
    file = temporary / "pretrained.onnx"
    onnx.save(export(network.weights(), training_data.input.height), file)
    examples = training_data.examples
    train = examples.indices_of("train")
    (embeddings,) = run_graph(
        Session(file, "cpu", "fp32"),
        ["embedding"],
        training_data.pixels,
        examples.rows[train].tolist(),
        "embedding photos",
    )
    truth = examples.truth[train]
    if examples.label_matrix is not None:
        has = examples.label_matrix[train]
        fold_of = folds(truth, examples.groups[train], training_data.seed)
        return label_layer.fit(
            embeddings, has, label_layer.cross_validate(embeddings, has, fold_of).c
        )
    fold_of = folds_of_classes(truth, examples.groups[train], training_data.seed)
    return fit_head(embeddings, truth, cross_validate(embeddings, truth, fold_of).c)


def _linear_layer(head: Head) -> nn.Linear:
    classes, width = head.weight.shape
    layer = nn.Linear(width, classes)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(head.weight)))
        layer.bias.copy_(torch.from_numpy(head.bias))
    return layer


def _adamw(network: nn.Module) -> torch.optim.Optimizer:
    """Return AdamW; biases and normalisation have no weight decay."""
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    vectors = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": _WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=_RATE)
