"""The layers of EfficientNet-Lite and their sizes, without torch.

    STAGES, scaled by a `Backbone` -> block_shapes: the blocks of one network
    tensors by name, blocks        -> `Weights`: what onnx_graph.efficientnet_lite exports

A tensor has the name that it has in the PyTorch network, such as `blocks.3.expand.conv.weight`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

STEM_CHANNELS = 32
TOP_CHANNELS = 1280
NORM_EPSILON = 1e-3
"""The number that batch normalisation adds to the variance."""


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


@dataclass(frozen=True)
class BlockShape:
    """An inverted bottleneck: expand, filter each channel on its own, project."""

    inputs: int
    outputs: int
    kernel: int
    stride: int
    expansion: int

    @property
    def has_residual(self) -> bool:
        """Return whether the block's input is added to its output."""
        return self.stride == 1 and self.inputs == self.outputs


@dataclass(frozen=True, eq=False)
class Weights:
    """The tensors of a network, and the shapes of its blocks."""

    tensors: Mapping[str, npt.NDArray[Any]]
    """By the name of the tensor; batch normalisation isn't folded."""
    blocks: Sequence[BlockShape]


def block_shapes(backbone: Backbone, stages: Sequence[Stage] = STAGES) -> list[BlockShape]:
    """Return the shapes of the blocks of `backbone`, in order."""
    shapes = []
    inputs = STEM_CHANNELS
    for index, stage in enumerate(stages):
        outer = index in {0, len(stages) - 1}
        repeats = stage.repeats if outer else math.ceil(stage.repeats * backbone.depth)
        outputs = scaled_channels(stage.channels, backbone.width)
        for repeat in range(repeats):
            stride = stage.stride if repeat == 0 else 1
            shapes.append(BlockShape(inputs, outputs, stage.kernel, stride, stage.expansion))
            inputs = outputs
    return shapes


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after one axis that give ceil(size / stride) positions."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def scaled_channels(channels: int, width: float) -> int:
    """Scale `channels` by `width`, to the nearest multiple of 8 that isn't over 10 % too small."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded
