"""The recipe `scratch`: a small network, trained from random weights at any input size.

    photos -> random weights -> epochs: shifted and mirrored photos      torch_loop.fit
           -> temperature, prototypes, threshold                         network_result

`textbook` is trained as in a textbook, by stochastic gradient descent with momentum. `fast` is
trained as in the CIFAR-10 speed runs: Muon for the filters, high learning rates for the biases, and
a learning rate that falls linearly.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Optimizer

from app.bundle import InputSpec
from training.contracts import LabelTrainingResult, ReportProgress, TrainingData, TrainingResult
from training.errors import DataUnusable
from training.networks.inference import normalize
from training.networks.small import MIN_SIZE, Fast, NetworkName, Textbook
from training.onnx_graph.small import export
from training.processes import of_environment
from training.recipes.network_label_result import network_label_result
from training.recipes.network_result import MAX_EMBEDDING, network_result
from training.torch_loop.augmentation import random_shift
from training.torch_loop.checkpoint import Checkpoint, run_properties
from training.torch_loop.config import EpochResult, TrainConfig, cosine, linear, train_val_photos
from training.torch_loop.device import DeviceName, select_device
from training.torch_loop.fit import fit
from training.torch_loop.muon import Muon
from training.torch_loop.process_group import join

EPOCHS: Mapping[NetworkName, int] = {"textbook": 16, "fast": 16}
SIZE = 32
_WHITENING_PHOTOS = 5000
"""The most photos that the first layer of `fast` is computed from."""
_MICRO_BATCH = 500
"""Photos of 32 pixels in a micro-batch of `fast`; larger photos, proportionally fewer."""
_MIN_STEPS_PER_EPOCH = 20
"""There are fewer if there are too few photos for batches of the minimum size."""
_GROWING_SIDES = ((0.4, 5 / 8), (0.6, 13 / 16))
"""Pairs (until, side): up to this share of training, images have this share of the full side."""
_MIN_BATCH: Mapping[NetworkName, int] = {"textbook": 4, "fast": 16}
"""Only `fast` has batch normalisation, which needs larger batches to estimate mean and variance."""


@dataclass(frozen=True)
class ScratchRecipe:
    """The recipe `scratch`, with its options."""

    network: NetworkName = "textbook"
    size: int = SIZE
    epochs: int | None = None
    device: DeviceName = "auto"
    resume: bool = False
    name: str = "scratch"
    libraries: tuple[str, ...] = ("torch",)
    augmentation_input: None = None

    def __post_init__(self) -> None:
        """Reject a size at which a layer would have no output."""
        if self.size < MIN_SIZE[self.network]:
            raise DataUnusable(
                f"--size {self.size} is too small for {self.network}: its layers need "
                f"{MIN_SIZE[self.network]} pixels at least."
            )

    @property
    def input(self) -> InputSpec:
        """The whole canvas, downscaled by averaging."""
        return InputSpec(size=self.size, crop=1.0, resample="box")

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The network, its input size and the number of epochs."""
        epochs = self.epochs or EPOCHS[self.network]
        return {"network": self.network, "size": self.size, "epochs": epochs}

    def train(
        self,
        training_data: TrainingData,
        temporary: Path,
        checkpoint: Path,
        report_progress: ReportProgress,
    ) -> TrainingResult:
        """Train from random weights."""
        network, history, card, metadata = self._fit(training_data, checkpoint, report_progress)
        return network_result(
            network,
            partial(export, network, self.size),
            training_data,
            history,
            temporary=temporary,
            metadata=metadata,
            card=card,
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
        """Train a logit for each label from random weights.

        Raises:
            DataUnusable: the embedding of `textbook` is too long at this size.
        """
        width = Textbook(1, self.size).head.in_features if self.network == "textbook" else 0
        if width > MAX_EMBEDDING:
            raise DataUnusable(
                f"At --size {self.size} {self.network} has an embedding of {width} numbers, and "
                f"models with several labels need one of {MAX_EMBEDDING} at most. Lower --size, or "
                "use --network fast."
            )
        network, history, card, metadata = self._fit(training_data, checkpoint, report_progress)
        return network_label_result(
            network,
            partial(export, network, self.size),
            training_data,
            history,
            temporary=temporary,
            accept_precision=accept_precision,
            metadata=metadata,
            card=card,
            report_progress=report_progress,
        )

    def follow(self, training_data: TrainingData | None, temporary: Path, checkpoint: Path) -> None:
        """Train beside the process that leads."""
        self._fit(training_data, checkpoint, lambda _: None)

    def _fit(
        self,
        training_data: TrainingData | None,
        checkpoint: Path,
        report_progress: ReportProgress,
    ) -> tuple[Textbook | Fast, list[EpochResult], str, Mapping[str, Any]]:
        """Return the trained network, its epochs, its card and its metadata."""
        processes = of_environment()
        device = select_device(self.device, processes.gpu)
        report_progress(f"training {self.network} on {device}{processes}")
        with join(device.torch_device) as group:
            training_data = group.shared(training_data)
            torch.manual_seed(training_data.seed)
            network = self._network(training_data)
            config = self._config(len(training_data.examples.indices_of("train")))
            network, history = fit(
                network,
                train_val_photos(training_data),
                config,
                Checkpoint(checkpoint, run_properties(self, training_data))
                if group.is_leader
                else None,
                device,
                seed=training_data.seed,
                resume=self.resume,
                report_progress=report_progress,
                group=group,
            )
        return network, history, self._card(config), {"trained_in": f"{device}{processes}"}

    def can_resume(self, training_data: TrainingData, checkpoint: Path) -> bool:
        """Return whether `checkpoint` holds the state of this run."""
        return Checkpoint(checkpoint, run_properties(self, training_data)).exists()

    def _network(self, training_data: TrainingData) -> Textbook | Fast:
        classes = len(training_data.examples.labels)
        if self.network == "textbook":
            return Textbook(classes, self.size)
        network = Fast(classes)
        rows = training_data.examples.rows[training_data.examples.indices_of("train")]
        selected = torch.randperm(len(rows))[:_WHITENING_PHOTOS].numpy()
        network.whiten(normalize(torch.from_numpy(training_data.pixels[rows[selected]])))
        return network

    def _config(self, photos: int) -> TrainConfig:
        epochs = self.epochs or EPOCHS[self.network]
        largest = min(photos, max(_MIN_BATCH[self.network], photos // _MIN_STEPS_PER_EPOCH))
        if self.network == "textbook":
            batch = min(128, largest)
            return TrainConfig(
                epochs=epochs,
                batch=batch,
                micro_batch=batch,
                label_smoothing=0.0,
                optimizers=partial(_textbook_optimizers, batch=batch),
                schedule=cosine,
                augment=random_shift,
                ema_epochs=1.0,
            )
        batch = min(1000, largest)
        return TrainConfig(
            epochs=epochs,
            batch=batch,
            micro_batch=min(
                batch, max(_MIN_BATCH["fast"], round(_MICRO_BATCH * (SIZE / self.size) ** 2))
            ),
            label_smoothing=0.2,
            optimizers=partial(_fast_optimizers, batch=batch),
            schedule=linear,
            augment=random_shift,
            image_side=partial(_growing_side, self.size),
        )

    def _card(self, config: TrainConfig) -> str:
        layers = {
            "textbook": "twice a 5x5 convolution, ReLU and pooling, then one fully connected layer",
            "fast": "a whitening layer, six 3x3 convolutions with ReLU and pooling, the mean over "
            "positions and one fully connected layer",
        }[self.network]
        growing = ", downscaled at first," if config.image_side else ""
        return textwrap.fill(
            f"The network is `{self.network}`: {layers}. It was trained from random weights, on "
            f"{self.size}x{self.size} pixels, for {config.epochs} epochs of mirrored and shifted "
            f"photos{growing} in batches of {config.batch}.",
            99,
        )


def _growing_side(size: int, progress: float) -> int:
    """Return the side to train on: small images first, which cost less, then the full size.

    Small images teach coarse features as well. After Howard 2018, "Training ImageNet in 3 hours for
    $25; and CIFAR10 for $0.26".
    """
    share = next((share for until, share in _GROWING_SIDES if progress < until), 1.0)
    return max(MIN_SIZE["fast"], round(share * size))


def _textbook_optimizers(network: nn.Module, batch: int) -> Sequence[Optimizer]:
    """Return SGD with a rate proportional to the batch (Goyal et al. 2017, arXiv:1706.02677)."""
    rate = 0.05 * batch / 128
    return [SGD(network.parameters(), rate, momentum=0.9, weight_decay=5e-4, nesterov=True)]


def _fast_optimizers(network: nn.Module, batch: int) -> Sequence[Optimizer]:
    """Return Muon and SGD with the rates of airbench94_muon (KellerJordan/cifar10-airbench).

    In airbench the loss is the sum over the batch, and logits are divided by the embedding's width.
    Here the loss is the mean, and the head's weights are smaller by that factor. The head's rate is
    ten times that of airbench, since it reads the mean of a map, which is a fraction of its
    maximum. Batches have 2,000 photos in airbench; Muon's rate scales with the root of the batch.
    """
    assert isinstance(network, Fast)
    rate, decay, width = 0.053 * batch, 2e-6 * batch, network.head.in_features
    filters = [weight for weight in network.units.parameters() if weight.ndim > 1]
    biases = [weight for weight in network.units.parameters() if weight.ndim == 1]
    head_rate = 6.7 * batch / width**2
    vectors = [
        {"params": [bias for bias in biases if bias.requires_grad], "lr": rate},
        {"params": network.head.parameters(), "lr": head_rate},
    ]
    for group in vectors:
        group["weight_decay"] = decay / float(group["lr"])
    return [
        Muon(
            [weight for weight in filters if weight.requires_grad],
            lr=0.24 * (batch / 2000) ** 0.5,
            momentum=0.6,
        ),
        SGD(vectors, momentum=0.85, nesterov=True),
    ]
