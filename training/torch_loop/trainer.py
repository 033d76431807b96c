"""The state of a training run: weights, their average, optimizers, the best weights so far.

    batch -> micro-batches: augment -> forward, loss, backward
          -> optimizer step -> moving average of the weights

Several processes may train one network: each takes a part of every batch and of val, see
process_group.

The randomness of each epoch comes from the seed and the epoch's number. A run that resumes from a
checkpoint therefore ends with the weights of an uninterrupted one.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.errors import DataUnusable, GateMissed
from training.networks.inference import normalize
from training.torch_loop.augmentation import downscale, mirror
from training.torch_loop.config import EpochResult, TrainConfig, TrainValPhotos
from training.torch_loop.device import Device
from training.torch_loop.objective import objective_of
from training.torch_loop.precision import in_float32, set_in_float32
from training.torch_loop.process_group import ALONE, ProcessGroup


class Trainer:
    """The trainer of one network, for `training.torch_loop.fit.fit` to call once per epoch."""

    def __init__(
        self,
        network: nn.Module,
        photos: TrainValPhotos,
        config: TrainConfig,
        device: Device,
        seed: int,
        group: ProcessGroup = ALONE,
    ) -> None:
        self._photos, self._config, self._device, self._seed = photos, config, device, seed
        self._group = group
        if group.processes.count > config.batch:
            raise DataUnusable(
                f"{group.processes.count} processes are more than the {config.batch} photos of a "
                "batch. Start fewer."
            )
        self._objective = objective_of(photos, config.label_smoothing)
        self._network = network.to(device.torch_device, memory_format=torch.channels_last)
        self._wrapped = group.wrapped(self._network)
        self._optimizers = config.optimizers(self._network)
        self._rates = [
            [group["lr"] for group in optimizer.param_groups] for optimizer in self._optimizers
        ]
        self.steps = max(1, len(photos.train) // config.batch)
        self._average = None
        if config.ema_epochs is not None:
            decay = 1 - 1 / max(2.0, config.ema_epochs * self.steps)
            ema = get_ema_multi_avg_fn(decay)
            self._average = AveragedModel(self._network, multi_avg_fn=ema, use_buffers=True)
        self._mirrored_first = torch.rand(
            len(photos.train), generator=torch.Generator().manual_seed(seed)
        ).lt(0.5)
        self.epoch = 0
        self.history: list[EpochResult] = []
        self._best: tuple[float, float] | None = None
        self._best_weights: dict[str, Tensor] = {}
        self._epochs_without_improvement = 0

    @property
    def is_out_of_patience(self) -> bool:
        """True if val has not improved for `patience` epochs."""
        patience = self._config.patience
        return patience is not None and self._epochs_without_improvement >= patience

    def train_epoch(self, advance: Callable[[float], None]) -> EpochResult:
        """Train for one epoch, then validate; `advance` receives the loss of each step."""
        epoch_seed = self._seed * 1_000_003 + self.epoch
        torch.manual_seed(self._group.seed_of(epoch_seed))  # dropout
        generator = torch.Generator().manual_seed(epoch_seed)
        order = torch.randperm(len(self._photos.train), generator=generator)
        batches = order[: self.steps * self._config.batch].chunk(self.steps)
        if not self._group.is_leader:
            generator.manual_seed(self._group.seed_of(epoch_seed))
        self._network.train()
        losses = []
        for step, batch in enumerate(batches):
            done = (self.epoch + step / self.steps) / self._config.epochs
            losses.append(self._step(batch, done, generator))
            advance(losses[-1])
        self.epoch += 1
        rate = self._config.schedule(self.epoch / self._config.epochs)
        result = EpochResult(self.epoch, sum(losses) / len(losses), *self.validate(), rate=rate)
        self.record(result)
        return result

    def _step(self, batch: Tensor, done: float, generator: torch.Generator) -> float:
        """Take one step of all optimizers, and return the loss of the batch."""
        factor = self._config.schedule(done)
        for optimizer, rates in zip(self._optimizers, self._rates, strict=True):
            optimizer.zero_grad(set_to_none=True)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        total = self._group.mean(self._add_gradients(batch, done, generator))
        if not math.isfinite(total):
            raise GateMissed(
                f"The loss became {total} in epoch {self.epoch + 1}, so nothing is written. "
                "Try --device cpu or another seed, and report it."
            )
        for optimizer in self._optimizers:
            optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self._network)
        return total

    def _add_gradients(self, batch: Tensor, done: float, generator: torch.Generator) -> float:
        """Add the gradients of this process's part of a batch; return its part of the loss.

        The mean over the processes is the gradient, and the loss, of the whole batch.
        """
        part, total = self._group.part(batch), 0.0
        micro_batches = part.chunk(math.ceil(len(part) / self._config.micro_batch))
        share = self._group.processes.count / len(batch)
        for number, micro_batch in enumerate(micro_batches, 1):
            is_last = number == len(micro_batches)
            with nullcontext() if is_last else self._group.without_exchange(self._wrapped):
                loss = self._loss(micro_batch, done, generator) * (len(micro_batch) * share)
                loss.backward()
            total += loss.item()
        return total

    def _loss(self, micro_batch: Tensor, done: float, generator: torch.Generator) -> Tensor:
        """Return the loss of a micro-batch: the mean over its photos."""
        torch_device = self._device.torch_device
        mirrored = self._mirrored_first[micro_batch] ^ bool(self.epoch % 2)
        pixels, selected = self._photos.train_batch(micro_batch)
        images = self._config.augment(mirror(pixels, mirrored), generator)
        if self._config.image_side is not None:
            images = downscale(images, self._config.image_side(done))
        images = images.to(torch_device, memory_format=torch.channels_last)
        with self._device.autocast():
            logits = self._wrapped(images)
        targets = self._objective.targets(selected).to(torch_device)
        return self._objective.losses(logits.float(), targets).mean()

    def validate(self) -> tuple[float, float]:
        """Return the loss and the accuracy on val: of the averaged weights, if there are any."""
        network = self._candidate.eval()
        self._group.take_buffers_of_leader(network)
        rows, torch_device = [], self._device.torch_device
        first, end = self._group.range_of(len(self._photos.val))
        size = self._config.micro_batch
        with torch.inference_mode(), self._device.autocast():
            for start in range(first, end, size):
                pixels = self._photos.val_batch(start, min(start + size, end))
                images = normalize(pixels).to(torch_device, memory_format=torch.channels_last)
                rows.append(network(images).float().cpu().numpy())
        logits = self._group.joined(np.concatenate(rows))
        return self._group.of_leader(self._objective.validate(logits))

    @property
    def _candidate(self) -> nn.Module:
        """The averaged network; the network before the first step or if there is no average."""
        if self._average is None or not int(self._average.n_averaged):
            return self._network
        return cast(nn.Module, self._average.module)

    def record(self, epoch: EpochResult) -> None:
        """Add an epoch to the history, and keep its weights if they are the best on val."""
        self.history.append(epoch)
        if self._config.patience is None:
            return
        ranking = (epoch.val_accuracy, -epoch.val_loss)
        if self._best is None or ranking > self._best:
            self._best, self._epochs_without_improvement = ranking, 0
            self._best_weights = _copy_to_cpu(self._candidate.state_dict())
        else:
            self._epochs_without_improvement += 1

    def result(self) -> nn.Module:
        """Return the network with its best weights or, if no patience is set, its last weights."""
        weights = self._best_weights or _copy_to_cpu(self._candidate.state_dict())
        self._network.load_state_dict(weights)
        return self._network.cpu().eval()

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {
            "epoch": self.epoch,
            "network": self._network.state_dict(),
            "in_float32": in_float32(self._network),
            "average": None if self._average is None else self._average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "history": [vars(epoch) for epoch in self.history],
            "best": self._best,
            "best_weights": self._best_weights,
            "worse": self._epochs_without_improvement,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the state of a checkpoint."""
        self._network.load_state_dict(state["network"])
        names = state.get("in_float32", [])
        set_in_float32(self._network, names)
        if self._average is not None:
            self._average.load_state_dict(state["average"])
            set_in_float32(self._average.module, names)
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.epoch = state["epoch"]
        self.history = [EpochResult(**epoch) for epoch in state["history"]]
        self._best, self._best_weights = state["best"], state["best_weights"]
        self._epochs_without_improvement = state["worse"]


def _copy_to_cpu(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
