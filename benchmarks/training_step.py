"""Time the steps of `finetune` and of `scratch --network fast` by the precision of their layers.

    python -m benchmarks.training_step [--rounds 5] [--networks finetune fast]

A step is a forward and a backward pass of one micro-batch of random images. Each round times a step
in float32, in bfloat16, and with the precision that training chooses for each kind of convolution
(training/torch_loop/precision.py). Printed, in Markdown: the medians, and the ratios to bfloat16.
Where the processor has no bfloat16, training uses float32, and there is nothing to compare.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from app.runtime import host
from benchmarks.processor import describe
from training.networks.efficientnet_lite import EfficientNetLite
from training.networks.efficientnet_lite_layers import BACKBONES
from training.networks.small import Fast
from training.torch_loop.device import Device, select_device
from training.torch_loop.precision import choose_precisions

CLASSES = 10


@dataclass(frozen=True)
class Subject:
    """A network, and the micro-batch that its recipe uses."""

    make: Callable[[], nn.Module]
    batch: int
    side: int


SUBJECTS = {
    "finetune": Subject(lambda: EfficientNetLite(BACKBONES["lite0"], CLASSES), 32, 240),
    "fast": Subject(lambda: Fast(CLASSES), 500, 32),
}


def step(network: nn.Module, images: torch.Tensor, device: Device, *, bf16: bool) -> float:
    """Run one step, and return its seconds."""
    network.zero_grad(set_to_none=True)
    targets = torch.arange(len(images)) % CLASSES
    began = time.perf_counter()
    with device.autocast() if bf16 else nullcontext():
        logits = network(images)
    functional.cross_entropy(logits.float(), targets).backward()
    return time.perf_counter() - began


def measure(name: str, subject: Subject, rounds: int, device: Device) -> None:
    """Print the rows of a network."""
    torch.manual_seed(0)
    plain = subject.make().to(memory_format=torch.channels_last)
    chosen = copy.deepcopy(plain)
    print(choose_precisions(chosen, subject.side, subject.batch, device), file=sys.stderr)
    images = torch.randn(subject.batch, 3, subject.side, subject.side)
    images = images.contiguous(memory_format=torch.channels_last)
    ways = {"float32": (plain, False), "bfloat16": (plain, True), "by kind": (chosen, True)}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds + 1):
        for way, (network, bf16) in ways.items():
            seconds[way].append(step(network, images, device, bf16=bf16))
    medians = {way: statistics.median(each[1:]) for way, each in seconds.items()}
    for way, median in medians.items():
        per_photo = 1000 * median / subject.batch
        print(f"| {name} | {way} | {per_photo:.2f} | {median / medians['bfloat16']:.2f} |")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    arguments = parser.parse_args()
    device = select_device("cpu")
    if not device.bf16:
        raise SystemExit("This processor has no bfloat16, so training uses float32 alone.")
    host.keep_large_blocks()
    print(f"{describe()}\n\n| network | precision | ms a photo | time, of bfloat16's |")
    print("|---|---|---|---|")
    for name in arguments.networks:
        measure(name, SUBJECTS[name], arguments.rounds, device)


if __name__ == "__main__":
    main()
