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

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.efficientnet_lite_layers import (
    BACKBONES,
    NORM_EPSILON,
    STAGES,
    STEM_CHANNELS,
    TOP_CHANNELS,
    Backbone,
    BlockShape,
    Stage,
    Weights,
    block_shapes,
    same_padding,
    scaled_channels,
)
from training.networks.pretrained_weights import published_weights


def load_pretrained(backbone: str, num_classes: int = 1000) -> "EfficientNetLite":
    """Return the network with its published ImageNet weights, in evaluation mode.

    With another number of classes than ImageNet's, the head has random weights.

    Raises:
        DataUnusable: the package with the weights isn't installed.
    """
    network = EfficientNetLite(BACKBONES[backbone])
    tensors = published_weights(backbone).tensors
    network.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
    if num_classes != network.head.out_features:
        network.head = nn.Linear(TOP_CHANNELS, num_classes)
    network.eval()
    return network


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
        # With a stride of 1, SAME padding is equal on all sides: the convolution adds it itself.
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        # TensorFlow's momentum of .99 is the weight of the old mean, PyTorch's of the new batch.
        self.norm = nn.BatchNorm2d(outputs, eps=NORM_EPSILON, momentum=0.01)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        if self.stride > 1:
            height, width = images.shape[-2:]
            padding = (
                *same_padding(width, self.kernel, self.stride),
                *same_padding(height, self.kernel, self.stride),
            )
            images = functional.pad(images, padding)
        x: Tensor = self.norm(self.conv(images))
        return functional.relu6(x) if self.relu6 else x


class Block(nn.Module):
    """An inverted bottleneck: expand, filter each channel on its own, project, add the input."""

    def __init__(self, shape: BlockShape):
        super().__init__()
        hidden = shape.inputs * shape.expansion
        self.expand = ConvUnit(shape.inputs, hidden) if shape.expansion > 1 else None
        self.depthwise = ConvUnit(
            hidden, hidden, kernel=shape.kernel, stride=shape.stride, groups=hidden
        )
        self.project = ConvUnit(hidden, shape.outputs, relu6=False)
        self.residual = shape.has_residual

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
        self.shapes = block_shapes(backbone, stages)
        self.stem = ConvUnit(3, STEM_CHANNELS, kernel=3, stride=2)
        self.blocks = nn.Sequential(*[Block(shape) for shape in self.shapes])
        self.top = ConvUnit(scaled_channels(stages[-1].channels, backbone.width), TOP_CHANNELS)
        self.dropout = nn.Dropout(backbone.dropout)
        self.head = nn.Linear(TOP_CHANNELS, num_classes)

    def weights(self) -> Weights:
        """Return the tensors of the network as arrays, for the export."""
        state = self.state_dict()
        return Weights({name: tensor.cpu().numpy() for name, tensor in state.items()}, self.shapes)

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
