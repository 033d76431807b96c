"""Two small networks for training from random weights: `textbook`, for teaching, and `fast`.

    float [N, 3, S, S] -> units -> [N, D] -> head (fully connected) -> logits [N, K]

Both are sequences of `Unit`s: a convolution, a ReLU and usually a max pooling. They export to a
plain chain of ONNX nodes, which the page shows layer by layer.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

NetworkName = Literal["textbook", "fast"]
MIN_SIZE: Mapping[NetworkName, int] = {"textbook": 16, "fast": 9}
"""The side in pixels of the smallest input at which every layer has an output."""
_WHITENING_BATCH = 50
"""Photos whose patches are unfolded together; all photos at once would fill the memory."""


class Unit(nn.Module):
    """A convolution and a ReLU, with optional max pooling and batch normalisation between them.

    Pooling comes before the ReLU, which gives the same result with fewer numbers to rectify:
    max and ReLU commute, because ReLU is monotonic.
    """

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int, padding: int, pool: bool, norm: bool
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=not norm)
        self.norm = _Norm(outputs) if norm else None
        self.pool = pool

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H', W'); pooling halves both, rounding down."""
        x: Tensor = self.conv(images)
        if self.pool:
            x = functional.max_pool2d(x, 2)
        if self.norm is not None:
            x = self.norm(x)
        return functional.relu(x)


class _Norm(nn.BatchNorm2d):
    """A batch normalisation whose gain is fixed at 1, so that pooling may come before it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-5, momentum=0.15)
        self.weight.requires_grad_(requires_grad=False)


class Textbook(nn.Module):
    """A LeNet-like network, as in textbook introductions to CNNs.

        32x32x3 -> 5x5 filters -> 28x28x32, ReLU -> pooling 14x14x32
                -> 5x5 filters -> 10x10x64, ReLU -> pooling 5x5x64 -> fully connected -> K

    A 5x5 filter over three colours is 75 multiplications at each of 28x28 = 784 positions. After
    LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", with ReLU.
    """

    CHANNELS = (32, 64)
    KERNEL = 5

    def __init__(self, num_classes: int, size: int) -> None:
        super().__init__()
        first, second = self.CHANNELS
        self.units = nn.ModuleDict(
            {
                "conv1": Unit(3, first, kernel=self.KERNEL, padding=0, pool=True, norm=False),
                "conv2": Unit(first, second, kernel=self.KERNEL, padding=0, pool=True, norm=False),
            }
        )
        side = ((size - 4) // 2 - 4) // 2
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(second * side * side, num_classes)

    def embed(self, images: Tensor) -> Tensor:
        """Map normalised float (N, 3, S, S) to the flattened pooled maps (N, D)."""
        x = images
        for unit in self.units.values():
            x = unit(x)
        return x.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised float (N, 3, S, S) to logits (N, K)."""
        logits: Tensor = self.head(self.dropout(self.embed(images)))
        return logits


class Fast(nn.Module):
    """The network of the CIFAR-10 speed runs, fast to train and accurate on small images.

        S -> whitening 2x2 -> three times: 3x3, pooling, 3x3 -> mean over positions -> head

    After Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv:2404.00498): a
    first layer of fixed filters that decorrelate patches of 2x2 pixels, convolutions initialised to
    the identity, normalisation without gains. Two things differ. ReLU replaces GELU, because GELU
    costs more on a CPU and prevents fusion in int8. The mean replaces the last maximum, so that
    class activation maps are exact.
    """

    CHANNELS = (64, 256, 256)
    PATCH = 2

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        patterns = 2 * 3 * self.PATCH**2
        whitening = Unit(3, patterns, kernel=self.PATCH, padding=0, pool=False, norm=False)
        whitening.conv.requires_grad_(requires_grad=False)
        units = {"whitening": whitening}
        inputs = patterns
        for number, outputs in enumerate(self.CHANNELS, 1):
            for half, (channels, pool) in enumerate(((inputs, True), (outputs, False)), 1):
                unit = Unit(channels, outputs, kernel=3, padding=1, pool=pool, norm=True)
                nn.init.dirac_(unit.conv.weight[:channels])
                units[f"conv{number}_{half}"] = unit
            inputs = outputs
        self.units = nn.ModuleDict(units)
        self.head = nn.Linear(inputs, num_classes)
        nn.init.normal_(self.head.weight, std=1 / inputs)
        nn.init.zeros_(self.head.bias)

    def whiten(self, images: Tensor) -> None:
        """Set the first layer's filters so that its outputs over `images` are uncorrelated.

        The filters are the eigenvectors of the patches' covariance, each divided by its standard
        deviation, and the same with the opposite sign. After Coates and Ng 2012, "Learning Feature
        Representations with K-Means". `images` is a normalised float (N, 3, S, S).
        """
        side, width = self.PATCH, 3 * self.PATCH**2
        count, total, products = 0, torch.zeros(width).double(), torch.zeros(width, width).double()
        for batch in images.contiguous().split(_WHITENING_BATCH):
            patches = functional.unfold(batch, side).transpose(1, 2).flatten(0, 1).double()
            count += len(patches)
            total += patches.sum(0)
            products += patches.T @ patches
        covariance = (products - total.outer(total) / count) / (count - 1)
        variances, vectors = torch.linalg.eigh(covariance)
        filters = (vectors / (variances + 5e-4).sqrt()).T.reshape(-1, 3, side, side).float()
        whitening = self.units["whitening"]
        assert isinstance(whitening, Unit)
        assert whitening.conv.bias is not None
        with torch.no_grad():
            whitening.conv.weight.copy_(torch.cat([filters, -filters]))
            whitening.conv.bias.zero_()

    def features(self, images: Tensor) -> Tensor:
        """Map normalised float (N, 3, S, S) to the last feature map (N, 256, h, w)."""
        x = images
        for unit in self.units.values():
            x = unit(x)
        return x

    def embed(self, images: Tensor) -> Tensor:
        """Map normalised float (N, 3, S, S) to the embeddings that the head reads (N, 256)."""
        return self.features(images).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised float (N, 3, S, S) to logits (N, K)."""
        logits: Tensor = self.head(self.embed(images))
        return logits
