"""EfficientNet-Lite: pixels -> feature map -> embedding -> logits.

    float [N, 3, S, S] -> stem -> blocks -> top      features   [N, 1280, h, w]
                       -> mean over h and w          embed      [N, 1280]
                       -> dropout, linear head       forward    [N, K]

The layers are EfficientNet's (Tan and Le 2019, arXiv:1905.11946, table 1) in the "Lite" form of
the TensorFlow reference (tensorflow/tpu, models/official/efficientnet/lite): no
squeeze-and-excitation, ReLU6 instead of swish, and a stem, a top and first and last stages that
don't scale with the coefficients. Padding is TensorFlow's SAME, which puts the extra zero of an odd
padding at the right and bottom: the published weights were trained with it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STEM_CHANNELS = 32
TOP_CHANNELS = 1280


@dataclass(frozen=True)
class Stage:
    """Several blocks in a row; only the first block is strided."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=16),
    Stage(repeats=2, kernel=3, stride=2, expansion=6, channels=24),
    Stage(repeats=2, kernel=5, stride=2, expansion=6, channels=40),
    Stage(repeats=3, kernel=3, stride=2, expansion=6, channels=80),
    Stage(repeats=3, kernel=5, stride=1, expansion=6, channels=112),
    Stage(repeats=4, kernel=5, stride=2, expansion=6, channels=192),
    Stage(repeats=1, kernel=3, stride=1, expansion=6, channels=320),
)


@dataclass(frozen=True)
class Backbone:
    """The scaling of one member of the family."""

    width: float
    depth: float
    size: int
    """Side of the square input that the published weights were trained with, in pixels."""
    dropout: float


BACKBONES: Mapping[str, Backbone] = {
    "lite0": Backbone(width=1.0, depth=1.0, size=224, dropout=0.2),
    "lite1": Backbone(width=1.0, depth=1.1, size=240, dropout=0.2),
    "lite2": Backbone(width=1.1, depth=1.2, size=260, dropout=0.3),
    "lite3": Backbone(width=1.2, depth=1.4, size=280, dropout=0.3),
    "lite4": Backbone(width=1.4, depth=1.8, size=300, dropout=0.3),
}


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after one axis that give ceil(size / stride) positions."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class ConvUnit(nn.Module):
    """A convolution with SAME padding, batch normalisation and optionally ReLU6."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        relu6: bool = True,
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.relu6 = relu6
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        # TensorFlow's momentum of .99 is the weight of the old mean, PyTorch's of the new batch.
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        height, width = images.shape[-2:]
        padding = (
            *same_padding(width, self.kernel, self.stride),
            *same_padding(height, self.kernel, self.stride),
        )
        x: Tensor = self.norm(self.conv(functional.pad(images, padding)))
        return functional.relu6(x) if self.relu6 else x


class Block(nn.Module):
    """An inverted bottleneck: expand, filter each channel on its own, project, add the input."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvUnit(inputs, hidden) if expansion > 1 else None
        self.depthwise = ConvUnit(hidden, hidden, kernel=kernel, stride=stride, groups=hidden)
        self.project = ConvUnit(hidden, outputs, relu6=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        x: Tensor = images if self.expand is None else self.expand(images)
        x = self.project(self.depthwise(x))
        return torch.add(images, x) if self.residual else x


class EfficientNetLite(nn.Module):
    """An EfficientNet-Lite network; only tests pass other `stages`."""

    def __init__(
        self, backbone: Backbone, num_classes: int = 1000, stages: tuple[Stage, ...] = STAGES
    ) -> None:
        super().__init__()
        self.stem = ConvUnit(3, STEM_CHANNELS, kernel=3, stride=2)
        self.blocks = nn.Sequential(*_blocks(backbone, stages))
        self.top = ConvUnit(_scaled_channels(stages[-1].channels, backbone.width), TOP_CHANNELS)
        self.dropout = nn.Dropout(backbone.dropout)
        self.head = nn.Linear(TOP_CHANNELS, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Map normalised float (N, 3, S, S) to the last feature map (N, 1280, h, w)."""
        x: Tensor = self.top(self.blocks(self.stem(images)))
        return x

    def embed(self, images: Tensor) -> Tensor:
        """Map normalised float (N, 3, S, S) to the embeddings that the head reads (N, 1280)."""
        return self.features(images).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised float (N, 3, S, S) to logits (N, num_classes)."""
        logits: Tensor = self.head(self.dropout(self.embed(images)))
        return logits


def _blocks(backbone: Backbone, stages: tuple[Stage, ...]) -> list[Block]:
    blocks = []
    inputs = STEM_CHANNELS
    for index, stage in enumerate(stages):
        outer = index in {0, len(stages) - 1}
        repeats = stage.repeats if outer else math.ceil(stage.repeats * backbone.depth)
        outputs = _scaled_channels(stage.channels, backbone.width)
        for repeat in range(repeats):
            stride = stage.stride if repeat == 0 else 1
            blocks.append(
                Block(
                    inputs, outputs, kernel=stage.kernel, stride=stride, expansion=stage.expansion
                )
            )
            inputs = outputs
    return blocks


def _scaled_channels(channels: int, width: float) -> int:
    """Scale `channels` by `width`, to the nearest multiple of 8 that isn't over 10 % too small."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded
