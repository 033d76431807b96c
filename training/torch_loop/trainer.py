"""The moving parts of a training run: weights, their average, optimizers, the best so far.

    batch -> augment -> forward, loss, backward, in several passes -> step -> average

Every epoch's chance comes from the seed and its own number, so a run that goes on from a
checkpoint ends where an uninterrupted one does.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training import calibration
from training.errors import GateMissed
from training.networks.inference import normalize
from training.torch_loop.augmentation import mirrored, reduced
from training.torch_loop.config import EpochResult, TrainConfig, TrainValPhotos
from training.torch_loop.device import Hardware


class Trainer:
    """What `training.torch_loop.fit.fit` moves on, an epoch at a time."""

    def __init__(
        self,
        network: nn.Module,
        photos: TrainValPhotos,
        config: TrainConfig,
        hardware: Hardware,
        seed: int,
    ) -> None:
        self._photos, self._config, self._hardware, self._seed = photos, config, hardware, seed
        self._network = network.to(hardware.device, memory_format=torch.channels_last)
        self._optimizers = config.optimizers(self._network)
        self._rates = [[group["lr"] for group in o.param_groups] for o in self._optimizers]
        self.steps = max(1, len(photos.train) // config.batch)
        self._average = None
        if config.ema_epochs is not None:
            decay = 1 - 1 / max(2.0, config.ema_epochs * self.steps)
            average = get_ema_multi_avg_fn(decay)
            self._average = AveragedModel(self._network, multi_avg_fn=average, use_buffers=True)
        self._coins = torch.rand(
            len(photos.train), generator=torch.Generator().manual_seed(seed)
        ).lt(0.5)
        self.epoch = 0
        self.history: list[EpochResult] = []
        self._best: tuple[float, float] | None = None
        self._best_weights: dict[str, Tensor] = {}
        self._worse = 0

    @property
    def is_over(self) -> bool:
        """Whether patience has ended."""
        patience = self._config.patience
        return patience is not None and self._worse >= patience

    def train_epoch(self, advance: Callable[[float], None]) -> EpochResult:
        """One time through the photos; `advance` is told each step's loss."""
        epoch_seed = self._seed * 1_000_003 + self.epoch
        torch.manual_seed(epoch_seed)  # dropout
        generator = torch.Generator().manual_seed(epoch_seed)
        order = torch.randperm(len(self._photos.train), generator=generator)
        batches = order[: self.steps * self._config.batch].chunk(self.steps)
        self._network.train()
        losses = []
        for step, batch in enumerate(batches):
            done = (self.epoch + step / self.steps) / self._config.epochs
            losses.append(self._step(batch, done, generator))
            advance(losses[-1])
        self.epoch += 1
        rate = self._config.schedule(self.epoch / self._config.epochs)
        epoch = EpochResult(self.epoch, sum(losses) / len(losses), *self.val(), rate=rate)
        self.judge(epoch)
        return epoch

    def _step(self, batch: Tensor, done: float, generator: torch.Generator) -> float:
        factor = self._config.schedule(done)
        for optimizer, rates in zip(self._optimizers, self._rates, strict=True):
            optimizer.zero_grad(set_to_none=True)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        total = 0.0
        for part in batch.chunk(math.ceil(len(batch) / self._config.micro_batch)):
            loss = self._loss(part, done, generator) * (len(part) / len(batch))
            loss.backward()
            total += loss.item()
        if not math.isfinite(total):
            raise GateMissed(
                f"The loss became {total} in epoch {self.epoch + 1}, so nothing is written. "
                "Look at the photos, or try another seed."
            )
        for optimizer in self._optimizers:
            optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self._network)
        return total

    def _loss(self, part: Tensor, done: float, generator: torch.Generator) -> Tensor:
        device = self._hardware.device
        flips = self._coins[part] ^ bool(self.epoch % 2)
        pixels, truth = self._photos.train_batch(part)
        images = self._config.augment(mirrored(pixels, flips), generator)
        if self._config.side is not None:
            images = reduced(images, self._config.side(done))
        images = images.to(device, memory_format=torch.channels_last)
        with self._hardware.autocast():
            logits = self._network(images)
        truth = truth.to(device)
        # PyTorch's own weights also weigh the smoothing: where one class has ten times the photos
        # of the other, its photos would be taught to be the other's.
        losses = functional.cross_entropy(
            logits.float(), truth, reduction="none", label_smoothing=self._config.label_smoothing
        )
        return (losses * self._photos.weights.to(device)[truth]).mean()

    def val(self) -> tuple[float, float]:
        """Loss and accuracy on val of the weights that would ship."""
        network = self._shipping.eval()
        truth = self._photos.training_data.examples.truth[self._photos.val]
        rows, device = [], self._hardware.device
        with torch.inference_mode(), self._hardware.autocast():
            for start in range(0, len(truth), self._config.micro_batch):
                pixels = self._photos.val_batch(start, start + self._config.micro_batch)
                images = normalize(pixels).to(device, memory_format=torch.channels_last)
                rows.append(network(images).float().cpu().numpy())
        logits = np.concatenate(rows)
        label_smoothing = calibration.label_smoothing_for(len(truth))
        temperature = calibration.fit_temperature(logits, truth, label_smoothing)
        probabilities = calibration.softmax(logits / temperature)
        right = probabilities[np.arange(len(truth)), truth]
        loss = -np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean()
        return float(loss), float((logits.argmax(axis=1) == truth).mean())

    @property
    def _shipping(self) -> nn.Module:
        """Its average has the network's own tensors only once a step has been taken."""
        if self._average is None or not int(self._average.n_averaged):
            return self._network
        return cast(nn.Module, self._average.module)

    def judge(self, epoch: EpochResult) -> None:
        """Note an epoch, and keep its weights if they are the best on val."""
        self.history.append(epoch)
        if self._config.patience is None:
            return
        reached = (epoch.val_accuracy, -epoch.val_loss)
        if self._best is None or reached > self._best:
            self._best, self._worse = reached, 0
            self._best_weights = _copied(self._shipping.state_dict())
        else:
            self._worse += 1

    def result(self) -> nn.Module:
        """The network with the weights that ship."""
        weights = self._best_weights or _copied(self._shipping.state_dict())
        self._network.load_state_dict(weights)
        return self._network.cpu().eval()

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "epoch": self.epoch,
            "network": self._network.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "history": [vars(epoch) for epoch in self.history],
            "best": self._best,
            "best_weights": self._best_weights,
            "worse": self._worse,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self._network.load_state_dict(state["network"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.epoch = state["epoch"]
        self.history = [EpochResult(**epoch) for epoch in state["history"]]
        self._best, self._worse = state["best"], state["worse"]
        self._best_weights = state["best_weights"]


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
