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
from training.contracts import Tell
from training.torch_loop.checkpoint import Checkpoint
from training.torch_loop.config import Epoch, Photos, Regime
from training.torch_loop.device import Hardware
from training.torch_loop.trainer import Run

N = TypeVar("N", bound=nn.Module)


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
    host.keep_large_blocks()
    torch.backends.cudnn.deterministic = True  # or a GPU gives other weights for the same seed
    run = Run(network, photos, regime, hardware, seed)
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


def _line(epoch: Epoch, regime: Regime, seconds: float) -> str:
    left = seconds * (regime.epochs - epoch.number)
    return (
        f"epoch {epoch.number} of {regime.epochs}: loss {epoch.loss:.3f}, val "
        f"{100 * epoch.val_accuracy:.1f} %, {seconds:.0f} s, {left / 60:.0f} min left at most"
    )


@contextmanager
def _bar(run: Run, regime: Regime) -> Iterator[Callable[[float], None]]:
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
