"""The epochs of a training run, the same for every network.

for each epoch: shuffle -> batches -> steps                 run
-> loss and accuracy on val -> the best so far
-> checkpoint                               checkpoint
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import click
import torch
from torch import nn

from app.runtime import host
from training.contracts import ReportProgress
from training.torch_loop.checkpoint import Checkpoint
from training.torch_loop.config import EpochResult, TrainConfig, TrainValPhotos
from training.torch_loop.device import Hardware
from training.torch_loop.trainer import Trainer

N = TypeVar("N", bound=nn.Module)


def fit(
    network: N,
    photos: TrainValPhotos,
    config: TrainConfig,
    checkpoint: Checkpoint,
    hardware: Hardware,
    *,
    seed: int,
    resume: bool,
    report_progress: ReportProgress,
) -> tuple[N, list[EpochResult]]:
    """Train `network`; the answer is it, on the CPU in evaluation mode, and its epochs.

    Args:
        network: where it begins. With patience, it is the first candidate.
        photos: to learn from, and to judge by.
        config: how.
        checkpoint: where each epoch's state goes.
        hardware: where it runs.
        seed: fixes order, augmentation and dropout.
        resume: go on from the checkpoint.
        report_progress: gets a line an epoch where there is no terminal for a bar.

    Raises:
        DataUnusable: there is no checkpoint to go on from.
        GateMissed: the loss is no number any more.
    """
    host.keep_large_blocks()
    torch.backends.cudnn.deterministic = True  # or a GPU gives other weights for the same seed
    trainer = Trainer(network, photos, config, hardware, seed)
    if resume:
        trainer.restore(checkpoint.load())
        report_progress(f"going on after epoch {trainer.epoch} of {config.epochs}")
    elif config.patience is not None:
        trainer.judge(EpochResult(0, math.nan, *trainer.val(), rate=0.0))
    with _bar(trainer, config) as advance:
        while trainer.epoch < config.epochs and not trainer.is_over:
            began = time.monotonic()
            epoch = trainer.train_epoch(advance)
            checkpoint.save(trainer.state())
            if not sys.stderr.isatty():
                report_progress(_line(epoch, config, time.monotonic() - began))
    return cast(N, trainer.result()), trainer.history


def _line(epoch: EpochResult, config: TrainConfig, seconds: float) -> str:
    left = seconds * (config.epochs - epoch.number)
    return (
        f"epoch {epoch.number} of {config.epochs}: loss {epoch.loss:.3f}, val "
        f"{100 * epoch.val_accuracy:.1f} %, {seconds:.0f} s, {left / 60:.0f} min left at most"
    )


@contextmanager
def _bar(trainer: Trainer, config: TrainConfig) -> Iterator[Callable[[float], None]]:
    """A bar over all steps, with the newest loss and accuracy, on standard error."""
    shown = [math.nan]

    def says(_: object) -> str:
        past = trainer.history[-1] if trainer.history else None
        val = f", val {100 * past.val_accuracy:.1f} %" if past else ""
        return f"epoch {min(trainer.epoch + 1, config.epochs)}, loss {shown[0]:.3f}{val}"

    with click.progressbar(
        length=config.epochs * trainer.steps,
        label=f"{'training':<18}",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
        item_show_func=says,
    ) as bar:
        bar.update(trainer.epoch * trainer.steps)

        def advance(loss: float) -> None:
            shown[0] = loss
            bar.update(1, bar)

        yield advance
