"""Train a tiny network in the processes that the environment tells of: python -m … FOLDER."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from training.networks.inference import normalize
from training.torch_loop import device, fit
from training.torch_loop.checkpoint import Checkpoint
from training.torch_loop.config import TrainConfig, TrainValPhotos, cosine
from training.torch_loop.process_group import join

SIZE = 12
CPU = device.Device(torch.device("cpu"), bf16=False)
CONFIG = TrainConfig(
    epochs=3,
    batch=10,
    micro_batch=3,
    label_smoothing=0.1,
    optimizers=lambda network: [torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)],
    schedule=cosine,
    augment=lambda pixels, _: normalize(pixels),
    ema_epochs=1.0,
    patience=3,
)


class Photos:
    """Bright and dark squares, of which each process has the same."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.label_matrix = None
        self.truth = np.arange(60) % 2
        self.rows = rng.permutation(60)
        self.pixels = rng.integers(0, 120, (60, SIZE, SIZE, 3)).astype(np.uint8)
        self.pixels[self.rows] += np.where(self.truth == 1, 90, 0).astype(np.uint8)[
            :, None, None, None
        ]
        self.examples, self.augmentation_input = self, self.pixels


def train(folder: Path):
    """Return the trained network and its epochs; the leader's is the one that counts."""
    with join(CPU.torch_device) as group:
        torch.manual_seed(group.processes.rank)  # the leader's weights are taken
        network = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 5 * 5, 2)
        )
        return fit.fit(
            network,
            TrainValPhotos(Photos(), np.arange(37), np.arange(37, 60), torch.ones(2)),
            CONFIG,
            Checkpoint(folder, {}) if group.is_leader else None,
            CPU,
            seed=0,
            resume=False,
            report_progress=lambda _: None,
            group=group,
        )


if __name__ == "__main__":
    train(Path(sys.argv[1]))
