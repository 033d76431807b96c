"""The epochs of a training run, the same for every network.

for each epoch: shuffle -> batches -> steps               trainer
                -> loss and accuracy on val -> the best so far
                -> checkpoint                             checkpoint
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
from training.progress import StepReport
from training.torch_loop.checkpoint import Checkpoint
from training.torch_loop.config import EpochResult, TrainConfig, TrainValPhotos
from training.torch_loop.device import Device
from training.torch_loop.precision import choose_precisions, in_float32, set_in_float32
from training.torch_loop.process_group import ALONE, ProcessGroup
from training.torch_loop.trainer import Trainer

N = TypeVar("N", bound=nn.Module)


def fit(
    network: N,
    photos: TrainValPhotos,
    config: TrainConfig,
    checkpoint: Checkpoint | None,
    device: Device,
    *,
    seed: int,
    resume: bool,
    report_progress: ReportProgress,
    group: ProcessGroup = ALONE,
) -> tuple[N, list[EpochResult]]:
    """Train `network`, and return it on the CPU in evaluation mode, with the results of its epochs.

    Args:
        network: the initial network. If `config.patience` is set, its weights
            are the first candidate for the result.
        photos: the photos to train on and to validate on.
        config: the hyperparameters.
        checkpoint: receives the state after each epoch; None in a process that doesn't lead.
        device: the device to train on.
        seed: fixes order, augmentation and dropout.
        resume: continue from the checkpoint.
        report_progress: receives a line per epoch where there is no terminal for a progress bar.
        group: the processes that train this network.

    Raises:
        DataUnusable: there is no checkpoint to resume from.
        GateMissed: the loss is not a finite number.
    """
    host.keep_large_blocks()
    torch.backends.cudnn.deterministic = True  # otherwise a GPU's weights vary
    side = photos.val_batch(0, 1).shape[1]
    if not resume:
        _choose_precisions(network, side, config, device, group, report_progress)
    trainer = Trainer(network, photos, config, device, seed, group)
    if resume:
        trainer.restore(group.of_leader({} if checkpoint is None else checkpoint.load()))
        report_progress(f"continuing after epoch {trainer.epoch} of {config.epochs}")
    elif config.patience is not None:
        trainer.record(EpochResult(0, math.nan, *trainer.validate(), rate=0.0))
    with _progress_bar(trainer, config, hidden=not group.is_leader) as advance:
        while trainer.epoch < config.epochs and not trainer.is_out_of_patience:
            began = time.monotonic()
            epoch = trainer.train_epoch(advance)
            if checkpoint is not None:
                checkpoint.save(trainer.state())
            if not sys.stderr.isatty():
                report_progress(_progress_line(epoch, config, time.monotonic() - began))
    return cast(N, trainer.result()), trainer.history


def _choose_precisions(
    network: nn.Module,
    side: int,
    config: TrainConfig,
    device: Device,
    group: ProcessGroup,
    report_progress: ReportProgress,
) -> None:
    """Let the leader choose the precision of each kind of convolution; the others follow."""
    if group.is_leader and (line := choose_precisions(network, side, config.micro_batch, device)):
        report_progress(line)
    set_in_float32(network, group.of_leader(in_float32(network)))


def _progress_line(epoch: EpochResult, config: TrainConfig, seconds: float) -> str:
    minutes_left = seconds * (config.epochs - epoch.number) / 60
    return (
        f"epoch {epoch.number} of {config.epochs}: loss {epoch.loss:.3f}, val "
        f"{100 * epoch.val_accuracy:.1f} %, {seconds:.0f} s, {minutes_left:.0f} min left at most"
    )


@contextmanager
def _progress_bar(
    trainer: Trainer, config: TrainConfig, *, hidden: bool
) -> Iterator[Callable[[float], None]]:
    """Show a bar over all steps on standard error, with the newest loss and accuracy.

    The context manager yields a function that advances the bar by a step, given its loss.
    """
    newest_loss = math.nan

    def describe(_: object) -> str:
        last = trainer.history[-1] if trainer.history else None
        val = f", val {100 * last.val_accuracy:.1f} %" if last else ""
        return f"epoch {min(trainer.epoch + 1, config.epochs)}, loss {newest_loss:.3f}{val}"

    steps = config.epochs * trainer.steps
    report, done = StepReport("training", steps), trainer.epoch * trainer.steps
    report.update(done)
    with click.progressbar(
        length=steps,
        label=f"{'training':<18}",
        file=sys.stderr,
        hidden=report.is_followed or not sys.stderr.isatty(),
        item_show_func=describe,
    ) as bar:
        bar.update(done)

        def advance(loss: float) -> None:
            nonlocal newest_loss, done
            newest_loss, done = loss, done + 1
            bar.update(1, bar)
            report.update(done)

        yield advance
