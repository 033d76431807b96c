"""The recipe `scratch`: a network from random weights, for pictures of any size.

    photos -> random weights -> epochs: shifted and mirrored photos      loop
           -> temperature, prototypes, threshold                         network_outcome

`textbook` is trained as a textbook would (stochastic gradient descent with momentum), `fast` as
the CIFAR-10 speed runs are: Muon for the filters, high rates for the biases, a straight way down.
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
from training.contracts import ReportProgress, TrainingData, TrainingResult
from training.errors import DataUnusable
from training.networks.inference import normalize
from training.networks.small import SMALLEST, Fast, NetworkName, Textbook
from training.onnx_graph.small import export
from training.recipes.network_result import class_weights, network_result
from training.torch_loop.augmentation import shifted
from training.torch_loop.checkpoint import Checkpoint, identity
from training.torch_loop.config import TrainConfig, TrainValPhotos, cosine, linear
from training.torch_loop.device import Device, choose
from training.torch_loop.fit import fit
from training.torch_loop.muon import Muon

EPOCHS: Mapping[NetworkName, int] = {"textbook": 16, "fast": 16}
SIZE = 32
_WHITENED_ON = 5000
"""Photos that the first layer of `fast` is made from."""
_PASS = 500
"""Photos that go through `fast` at once, of 32 pixels; of larger ones as many fewer."""
_STEPS_AN_EPOCH = 20
"""At least so many, where there are photos enough for the smallest batches."""
_SIGHT = ((0.4, 5 / 8), (0.6, 13 / 16))
"""Until which share of training `fast` sees which share of a photo's side."""
_SMALLEST_BATCH: Mapping[NetworkName, int] = {"textbook": 4, "fast": 16}
"""Normalisation, which only `fast` has, needs more photos to tell a mean."""


@dataclass(frozen=True)
class ScratchRecipe:
    """A `training.contracts.Recipe`."""

    network: NetworkName = "textbook"
    size: int = SIZE
    epochs: int | None = None
    device: Device = "auto"
    resume: bool = False
    name: str = "scratch"
    libraries: tuple[str, ...] = ("torch",)
    augmentation_input: None = None

    def __post_init__(self) -> None:
        """Refuse a size that leaves a layer nothing to see."""
        if self.size < SMALLEST[self.network]:
            raise DataUnusable(
                f"--size {self.size} is too small for {self.network}: its layers need "
                f"{SMALLEST[self.network]} pixels at least."
            )

    @property
    def input(self) -> InputSpec:
        """The whole canvas, each pixel the mean of those that it stands for."""
        return InputSpec(size=self.size, crop=1.0, resample="box")

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Which network, on what, and for how long."""
        epochs = self.epochs or EPOCHS[self.network]
        return {"network": self.network, "size": self.size, "epochs": epochs}

    def train(
        self,
        training_data: TrainingData,
        scratch: Path,
        checkpoint: Path,
        report_progress: ReportProgress,
    ) -> TrainingResult:
        """Train from random weights."""
        hardware = choose(self.device)
        report_progress(f"training {self.network} on {hardware}")
        torch.manual_seed(training_data.seed)
        train = training_data.examples.of("train")
        network = self._network(training_data)
        config = self._config(len(train))
        network, history = fit(
            network,
            TrainValPhotos(
                training_data, train, training_data.examples.of("val"), class_weights(training_data)
            ),
            config,
            Checkpoint(checkpoint, identity(self, training_data)),
            hardware,
            seed=training_data.seed,
            resume=self.resume,
            report_progress=report_progress,
        )
        return network_result(
            network,
            partial(export, network, self.size),
            training_data,
            history,
            scratch=scratch,
            selected={"trained_in": str(hardware)},
            card=self._card(config),
            report_progress=report_progress,
        )

    def _network(self, training_data: TrainingData) -> Textbook | Fast:
        classes = len(training_data.examples.labels)
        if self.network == "textbook":
            return Textbook(classes, self.size)
        network = Fast(classes)
        rows = training_data.examples.rows[training_data.examples.of("train")]
        selected = torch.randperm(len(rows))[:_WHITENED_ON].numpy()
        network.whiten(normalize(torch.from_numpy(training_data.pixels[rows[selected]])))
        return network

    def _config(self, photos: int) -> TrainConfig:
        epochs = self.epochs or EPOCHS[self.network]
        few = min(photos, max(_SMALLEST_BATCH[self.network], photos // _STEPS_AN_EPOCH))
        if self.network == "textbook":
            batch = min(128, few)
            return TrainConfig(
                epochs=epochs,
                batch=batch,
                micro_batch=batch,
                label_smoothing=0.0,
                optimizers=partial(_for_textbook, batch=batch),
                schedule=cosine,
                augment=shifted,
                ema_epochs=1.0,
            )
        batch = min(1000, few)
        return TrainConfig(
            epochs=epochs,
            batch=batch,
            micro_batch=min(
                batch, max(_SMALLEST_BATCH["fast"], round(_PASS * (SIZE / self.size) ** 2))
            ),
            label_smoothing=0.2,
            optimizers=partial(_for_fast, batch=batch),
            schedule=linear,
            augment=shifted,
            side=partial(_growing, self.size),
        )

    def _card(self, config: TrainConfig) -> str:
        about = {
            "textbook": "`textbook`: twice a 5x5 convolution, ReLU and pooling, then one fully "
            "connected layer",
            "fast": "`fast`: a whitening layer, six 3x3 convolutions with ReLU and pooling, the "
            "mean over positions and one fully connected layer",
        }[self.network]
        small = ", at first small," if config.side else ""
        return textwrap.fill(
            f"The network is {about}; from random weights, on {self.size}x{self.size} pixels, for "
            f"{config.epochs} epochs of mirrored and shifted photos{small} in batches of "
            f"{config.batch}.",
            99,
        )


def _growing(size: int, done: float) -> int:
    """Small pictures first, which cost less and teach coarse features as well; then whole ones.

    After Howard 2018, "Training ImageNet in 3 hours for $25; and CIFAR10 for $0.26".
    """
    share = next((share for until, share in _SIGHT if done < until), 1.0)
    return max(SMALLEST["fast"], round(share * size))


def _for_textbook(network: nn.Module, batch: int) -> Sequence[Optimizer]:
    """The rate grows with the batch, as Goyal et al. 2017 (arXiv:1706.02677) have it."""
    rate = 0.05 * batch / 128
    return [SGD(network.parameters(), rate, momentum=0.9, weight_decay=5e-4, nesterov=True)]


def _for_fast(network: nn.Module, batch: int) -> Sequence[Optimizer]:
    """Rates and decays of airbench94_muon (github.com/KellerJordan/cifar10-airbench).

    There the loss is the sum over the batch and logits are divided by the embedding's width; here
    it is the mean, and the head's weights are that much smaller. The head's rate is ten times
    theirs, since it reads the mean of a map, which is a fraction of its maximum. Batches have
    2,000 photos there; Muon's rate goes with the root of that.
    """
    assert isinstance(network, Fast)
    rate, decay, width = 0.053 * batch, 2e-6 * batch, network.head.in_features
    filters = [weight for weight in network.units.parameters() if weight.ndim > 1]
    biases = [weight for weight in network.units.parameters() if weight.ndim == 1]
    head_rate = 6.7 * batch / width**2
    vectors = [
        {"params": [b for b in biases if b.requires_grad], "lr": rate},
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
