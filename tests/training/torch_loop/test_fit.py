"""The epochs of a training run: resuming, seeds, patience, micro-batches and devices."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - only with torch

from training.errors import GateMissed  # noqa: E402
from training.networks.efficientnet_lite import EfficientNetLite  # noqa: E402
from training.networks.efficientnet_lite_layers import BACKBONES  # noqa: E402
from training.networks.inference import normalize  # noqa: E402
from training.networks.small import Fast  # noqa: E402
from training.recipes import finetune, scratch  # noqa: E402
from training.torch_loop import augmentation, device, fit, trainer  # noqa: E402
from training.torch_loop.checkpoint import Checkpoint  # noqa: E402
from training.torch_loop.config import TrainConfig, TrainValPhotos, class_weights, cosine  # noqa: E402

SIZE = 16
CPU = device.Device(torch.device("cpu"), bf16=False)


class Examples:
    def __init__(self, count):
        rng = np.random.default_rng(0)
        self.label_matrix = None
        self.truth = np.arange(count) % 2
        self.rows = rng.permutation(count)
        self.pixels = np.empty((count, SIZE, SIZE, 3), np.uint8)
        self.pixels[self.rows] = rng.integers(0, 120, (count, SIZE, SIZE, 3)) + np.where(
            self.truth == 1, 90, 0
        ).astype(np.uint8).reshape(-1, 1, 1, 1)

    def indices_of(self, *_):
        return np.arange(len(self.truth))


class TrainingData:
    def __init__(self, count=60):
        self.examples = Examples(count)
        self.pixels = self.augmentation_input = self.examples.pixels


def _network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(8 * 7 * 7, 2),
    )


CONFIG = TrainConfig(
    epochs=4,
    batch=8,
    micro_batch=4,
    label_smoothing=0.1,
    optimizers=lambda network: [torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)],
    schedule=cosine,
    augment=augmentation.random_shift,
    ema_epochs=1.0,
)


def _fit(
    folder, config=CONFIG, resume=False, seed=0, identity=None, report_progress=lambda _: None
):
    training_data = TrainingData()
    photos = TrainValPhotos(training_data, np.arange(40), np.arange(40, 60), torch.ones(2))
    checkpoint = Checkpoint(folder / "checkpoint", identity or {"--recipe": "test"})
    network = _network()
    return fit.fit(
        network,
        photos,
        config,
        checkpoint,
        CPU,
        seed=seed,
        resume=resume,
        report_progress=report_progress,
    )


def _largest_difference(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max((a.double() - b.double()).abs().max().item() for a, b in pairs)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("patience", [None, 3], ids=["last", "best"])
def test_an_interrupted_run_resumes_and_ends_with_the_weights_of_a_whole_one(tmp_path, patience):
    config = dataclasses.replace(CONFIG, patience=patience)
    whole, history = _fit(tmp_path / "whole", config)
    steps = 0

    def interrupting(pixels, generator):
        nonlocal steps
        steps += 1
        if steps > 25:  # in the middle of the third epoch of ten micro-batches each
            raise Interrupted
        return augmentation.random_shift(pixels, generator)

    with pytest.raises(Interrupted):
        _fit(tmp_path / "cut", dataclasses.replace(config, augment=interrupting))
    lines = []
    resumed, resumed_history = _fit(
        tmp_path / "cut", config, resume=True, report_progress=lines.append
    )
    assert lines[0] == "continuing after epoch 2 of 4"
    assert _largest_difference(whole, resumed) < 1e-6
    for expected, actual in zip(history, resumed_history, strict=True):
        assert vars(expected) == pytest.approx(vars(actual), nan_ok=True)


def test_the_network_trains_on_the_configured_side_and_validates_on_the_full_one(tmp_path):
    sides = []

    class AnySide(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, images):
            sides.append((self.training, *images.shape[2:]))
            return self.head(images.mean(dim=(2, 3)))

    training_data = TrainingData()
    fit.fit(
        AnySide(),
        TrainValPhotos(training_data, np.arange(40), np.arange(40, 60), torch.ones(2)),
        dataclasses.replace(CONFIG, epochs=2, image_side=lambda done: 10 if done < 0.5 else SIZE),
        Checkpoint(tmp_path, {}),
        CPU,
        seed=0,
        resume=False,
        report_progress=lambda _: None,
    )
    validated = [(False, SIZE, SIZE)] * 5
    assert sides == [(True, 10, 10)] * 10 + validated + [(True, SIZE, SIZE)] * 10 + validated


def test_training_improves_and_reports_its_epochs(tmp_path):
    lines = []
    _, history = _fit(tmp_path, report_progress=lines.append)
    assert history[-1].val_accuracy == 1
    assert history[-1].loss < history[0].loss
    assert [epoch.number for epoch in history] == [1, 2, 3, 4]
    assert history[-1].rate == pytest.approx(0)
    assert lines[0].startswith("epoch 1 of 4: loss 0.")
    assert " min left at most" in lines[0]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    first, _ = _fit(tmp_path)
    second, _ = _fit(tmp_path)
    other, _ = _fit(tmp_path, seed=1)
    assert _largest_difference(first, second) == 0
    assert _largest_difference(first, other) > 1e-3


def test_patience_ends_training_and_gives_the_best_weights(tmp_path):
    def diverging(network):
        return [torch.optim.SGD(network.parameters(), lr=1.0)]

    initial = _network().eval()
    config = dataclasses.replace(CONFIG, epochs=9, optimizers=diverging, patience=2)
    network, history = _fit(tmp_path, config)
    best = max(history, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
    assert len(history) == best.number + 3  # itself, and two that were no better
    assert history[0].number == 0
    if best.number == 0:
        assert _largest_difference(network, initial) == 0


def test_a_loss_that_is_not_finite_is_an_error(tmp_path):
    def infinite(network):
        return [torch.optim.SGD(network.parameters(), lr=math.inf)]

    with pytest.raises(GateMissed, match=r"The loss became nan in epoch 1, so nothing is written"):
        _fit(tmp_path, dataclasses.replace(CONFIG, optimizers=infinite))


def test_gradients_of_micro_batches_add_up_to_the_batch(tmp_path):
    def unchanged(pixels, _):
        return normalize(pixels)

    results = []
    for size in (8, 2):
        config = dataclasses.replace(CONFIG, micro_batch=size, augment=unchanged, epochs=1)
        training_data = TrainingData()
        photos = TrainValPhotos(training_data, np.arange(40), np.arange(40, 60), torch.ones(2))
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 2))
        checkpoint = Checkpoint(tmp_path, {})
        fitted, _ = fit.fit(
            network,
            photos,
            config,
            checkpoint,
            CPU,
            seed=0,
            resume=False,
            report_progress=lambda _: None,
        )
        results.append(fitted)
    assert _largest_difference(*results) < 1e-5


def test_imbalanced_classes_with_strong_smoothing_are_still_learnt(tmp_path):
    """If the smoothing were weighted by class, the rare class would get all photos."""
    training_data = TrainingData(66)
    training_data.examples.truth = np.arange(66) % 11 // 10  # ten times as many of the first
    bright = np.where(training_data.examples.truth, 255, 0).astype(np.uint8)
    training_data.examples.pixels[training_data.examples.rows] = bright.reshape(-1, 1, 1, 1)
    training_data.examples.labels = ("dark", "bright")
    weights = class_weights(training_data)
    assert weights.tolist() == pytest.approx([66 / 120, 66 / 12])
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    config = dataclasses.replace(CONFIG, epochs=30, batch=22, micro_batch=11, label_smoothing=0.2)
    everything = np.arange(66)
    network, history = fit.fit(
        network,
        TrainValPhotos(training_data, everything, everything, weights),
        config,
        Checkpoint(tmp_path, {}),
        CPU,
        seed=0,
        resume=False,
        report_progress=lambda _: None,
    )
    assert history[-1].val_accuracy == 1


def test_micro_batches_of_a_batch_have_even_sizes():
    sizes = []
    network = _network()
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    photos = TrainValPhotos(TrainingData(), np.arange(40), np.arange(40, 60), torch.ones(2))
    config = dataclasses.replace(CONFIG, batch=9, micro_batch=8)
    trainer.Trainer(network, photos, config, CPU, 0)._step(torch.arange(9), 0.1, torch.Generator())
    assert sizes == [5, 4]


@pytest.mark.parametrize("name", ["plain", "fast", "lite0"])
def test_a_step_moves_all_tensors_to_the_device(monkeypatch, name):
    """On torch's `meta` device, which has shapes and no numbers, and rejects tensors of the CPU."""
    network, optimizers = {
        "plain": (_network(), CONFIG.optimizers),
        "fast": (Fast(2), partial(scratch._fast_optimizers, batch=8)),
        "lite0": (
            EfficientNetLite(BACKBONES["lite0"], 2),
            lambda network: [finetune._adamw(network)],
        ),
    }[name]
    devices = []
    network.register_forward_pre_hook(lambda _, inputs: devices.append(inputs[0].device.type))
    monkeypatch.setattr(torch.Tensor, "item", lambda _: 0.5)
    photos = TrainValPhotos(TrainingData(), np.arange(40), np.arange(40, 60), torch.ones(2))
    meta = device.Device(torch.device("meta"), bf16=False)
    config = dataclasses.replace(CONFIG, optimizers=optimizers)
    trainer.Trainer(network, photos, config, meta, 0)._step(torch.arange(8), 0.1, torch.Generator())
    assert devices == ["meta", "meta"]
