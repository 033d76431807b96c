"""The epochs of a training run, the same for every network.

    for each epoch: shuffle -> batches -> augment -> forward, loss, backward -> step -> average
                    -> loss and accuracy on val -> the best so far -> checkpoint

Every epoch's chance comes from the seed and its own number, so a run that goes on from a
checkpoint ends where an uninterrupted one does.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training import calibration
from training.augmentation import Augment, mirrored
from training.checkpoint import Checkpoint
from training.errors import GateMissed
from training.hardware import Hardware
from training.networks import normalize
from training.task import Task, Tell

N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class Regime:
    """How a network is trained."""

    epochs: int
    batch: int
    """Photos a step."""
    pass_: int
    """Photos that go through the network at once; their gradients add up to the batch's."""
    label_smoothing: float
    optimizers: Callable[[nn.Module], Sequence[Optimizer]]
    schedule: Callable[[float], float]
    """The share of training that is done, 0 to 1 -> what rates are multiplied by."""
    augment: Augment
    averaged_over: float | None = None
    """Epochs over which weights are averaged (an exponential moving average); None: they aren't."""
    patience: int | None = None
    """Epochs without an improvement on val after which training ends, with the best weights; None:
    all are trained, and the last weights count."""


@dataclass(frozen=True, eq=False)
class Photos:
    """What is learnt from, and what is judged by; pixels stay on disk until they are used."""

    task: Task
    train: NDArray[np.intp]
    """Indices of the photos to learn from."""
    val: NDArray[np.intp]
    """Indices of those to judge by."""
    weights: Tensor
    """(K,) how much a photo of each class counts in the loss."""

    def to_learn(self, part: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (M, S', S', 3) uint8 and classes (M,) of some of `train`."""
        chosen, examples = self.train[part.numpy()], self.task.examples
        pixels = torch.from_numpy(self.task.larger[examples.rows[chosen]])
        return pixels, torch.from_numpy(examples.truth[chosen])

    def to_judge(self, start: int, stop: int) -> Tensor:
        """Pixels (M, S, S, 3) uint8 of some of `val`."""
        rows = self.task.examples.rows[self.val[start:stop]]
        return torch.from_numpy(self.task.pixels[rows])


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to."""

    number: int
    loss: float
    val_loss: float
    """Negative log-likelihood, with the temperature that suits it best."""
    val_accuracy: float
    rate: float
    """What rates were multiplied by at its end."""


def cosine(done: float, warm_up: float = 0.1) -> float:
    """A linear rise, then half a cosine down to 0 (Loshchilov and Hutter 2017, SGDR)."""
    if done < warm_up:
        return done / warm_up
    return (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up))) / 2


def linear(done: float) -> float:
    """Straight down to 0."""
    return 1 - done


def fit(
    network: N,
    photos: Photos,
    regime: Regime,
    checkpoint: Checkpoint,
    hardware: Hardware,
    *,
    seed: int,
    resume: bool,
    tell: Tell,
) -> tuple[N, list[Epoch]]:
    """Train `network`; the answer is it, on the CPU in evaluation mode, and its epochs.

    Args:
        network: where it begins. With patience, it is the first candidate.
        photos: to learn from, and to judge by.
        regime: how.
        checkpoint: where each epoch's state goes.
        hardware: where it runs.
        seed: fixes order, augmentation and dropout.
        resume: go on from the checkpoint.
        tell: gets a line an epoch where there is no terminal for a bar.

    Raises:
        DataUnusable: there is no checkpoint to go on from.
        GateMissed: the loss is no number any more.
    """
    run = _Run(network, photos, regime, hardware, seed)
    if resume:
        run.restore(checkpoint.load())
        tell(f"going on after epoch {run.epoch} of {regime.epochs}")
    elif regime.patience is not None:
        run.judge(Epoch(0, math.nan, *run.val(), rate=0.0))
    with _bar(run, regime) as advance:
        while run.epoch < regime.epochs and not run.is_over:
            began = time.monotonic()
            epoch = run.train_epoch(advance)
            checkpoint.save(run.state())
            if not sys.stderr.isatty():
                tell(_line(epoch, regime, time.monotonic() - began))
    return cast(N, run.result()), run.history


class _Run:
    """The moving parts of `fit`."""

    def __init__(
        self, network: nn.Module, photos: Photos, regime: Regime, hardware: Hardware, seed: int
    ) -> None:
        self._photos, self._regime, self._hardware, self._seed = photos, regime, hardware, seed
        self._network = network.to(hardware.device, memory_format=torch.channels_last)
        self._optimizers = regime.optimizers(self._network)
        self._rates = [[group["lr"] for group in o.param_groups] for o in self._optimizers]
        self.steps = max(1, len(photos.train) // regime.batch)
        self._average = None
        if regime.averaged_over is not None:
            decay = 1 - 1 / max(2.0, regime.averaged_over * self.steps)
            average = get_ema_multi_avg_fn(decay)
            self._average = AveragedModel(self._network, multi_avg_fn=average, use_buffers=True)
        self._coins = torch.rand(
            len(photos.train), generator=torch.Generator().manual_seed(seed)
        ).lt(0.5)
        self.epoch = 0
        self.history: list[Epoch] = []
        self._best: tuple[float, float] | None = None
        self._best_weights: dict[str, Tensor] = {}
        self._worse = 0

    @property
    def is_over(self) -> bool:
        """Whether patience has ended."""
        patience = self._regime.patience
        return patience is not None and self._worse >= patience

    def train_epoch(self, advance: Callable[[float], None]) -> Epoch:
        """One time through the photos; `advance` is told each step's loss."""
        chance = self._seed * 1_000_003 + self.epoch
        torch.manual_seed(chance)  # dropout
        generator = torch.Generator().manual_seed(chance)
        order = torch.randperm(len(self._photos.train), generator=generator)
        batches = order[: self.steps * self._regime.batch].chunk(self.steps)
        self._network.train()
        losses = []
        for step, batch in enumerate(batches):
            done = (self.epoch + step / self.steps) / self._regime.epochs
            losses.append(self._step(batch, done, generator))
            advance(losses[-1])
        self.epoch += 1
        rate = self._regime.schedule(self.epoch / self._regime.epochs)
        epoch = Epoch(self.epoch, sum(losses) / len(losses), *self.val(), rate=rate)
        self.judge(epoch)
        return epoch

    def _step(self, batch: Tensor, done: float, generator: torch.Generator) -> float:
        factor = self._regime.schedule(done)
        for optimizer, rates in zip(self._optimizers, self._rates, strict=True):
            optimizer.zero_grad(set_to_none=True)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        total = 0.0
        for part in batch.split(self._regime.pass_):
            loss = self._loss(part, generator) * (len(part) / len(batch))
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

    def _loss(self, part: Tensor, generator: torch.Generator) -> Tensor:
        device = self._hardware.device
        flips = self._coins[part] ^ bool(self.epoch % 2)
        pixels, truth = self._photos.to_learn(part)
        images = self._regime.augment(mirrored(pixels, flips), generator)
        images = images.to(device, memory_format=torch.channels_last)
        with self._hardware.autocast():
            logits = self._network(images)
        return functional.cross_entropy(
            logits.float(),
            truth.to(device),
            self._photos.weights.to(device),
            label_smoothing=self._regime.label_smoothing,
        )

    def val(self) -> tuple[float, float]:
        """Loss and accuracy on val of the weights that would ship."""
        network = self._shipping.eval()
        truth = self._photos.task.examples.truth[self._photos.val]
        rows, device = [], self._hardware.device
        with torch.inference_mode(), self._hardware.autocast():
            for start in range(0, len(truth), self._regime.pass_):
                pixels = self._photos.to_judge(start, start + self._regime.pass_)
                images = normalize(pixels).to(device, memory_format=torch.channels_last)
                rows.append(network(images).float().cpu().numpy())
        logits = np.concatenate(rows)
        doubt = calibration.doubt_after(len(truth))
        temperature = calibration.fit_temperature(logits, truth, doubt)
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

    def judge(self, epoch: Epoch) -> None:
        """Note an epoch, and keep its weights if they are the best on val."""
        self.history.append(epoch)
        if self._regime.patience is None:
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
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self._best, self._worse = state["best"], state["worse"]
        self._best_weights = state["best_weights"]


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}


def _line(epoch: Epoch, regime: Regime, seconds: float) -> str:
    left = seconds * (regime.epochs - epoch.number)
    return (
        f"epoch {epoch.number} of {regime.epochs}: loss {epoch.loss:.3f}, val "
        f"{100 * epoch.val_accuracy:.1f} %, {seconds:.0f} s, {left / 60:.0f} min left at most"
    )


@contextmanager
def _bar(run: _Run, regime: Regime) -> Iterator[Callable[[float], None]]:
    """A bar over all steps, with the newest loss and accuracy, on standard error."""
    shown = [math.nan]

    def says(_: object) -> str:
        past = run.history[-1] if run.history else None
        val = f", val {100 * past.val_accuracy:.1f} %" if past else ""
        return f"epoch {min(run.epoch + 1, regime.epochs)}, loss {shown[0]:.3f}{val}"

    with click.progressbar(
        length=regime.epochs * run.steps,
        label=f"{'training':<18}",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
        item_show_func=says,
    ) as bar:
        bar.update(run.epoch * run.steps)

        def advance(loss: float) -> None:
            shown[0] = loss
            bar.update(1, bar)

        yield advance
