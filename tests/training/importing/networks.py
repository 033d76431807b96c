"""Small networks in PyTorch with random weights, as users export them: 32x32 pixels, three classes.

The last layer is scaled so that logits differ between pictures, and a wrong pixel shows.
"""

import torch
from torch import nn

SIDE, CLASSES, WIDTH, PATCH = 32, 3, 8, 8
LOGIT_STD = 1.0
"""The standard deviation of a logit over pictures."""


def cnn(channels: int = 3) -> nn.Module:
    """A convolutional network with the usual nonlinearities and a depthwise convolution."""
    return _ready(
        nn.Sequential(
            nn.Conv2d(channels, 8, 3, 2, 1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, 2, 1, groups=8),
            nn.BatchNorm2d(8),
            nn.Hardswish(),
            nn.Conv2d(8, 16, 1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, CLASSES),
        )
    )


def fully_connected_cnn() -> nn.Module:
    """LeNet's form: convolutions, max pooling and linear layers, without a global mean."""
    return _ready(
        nn.Sequential(
            nn.Conv2d(3, 6, 5),
            nn.Tanh(),
            nn.MaxPool2d(4),
            nn.Flatten(),
            nn.Linear(6 * 7 * 7, 12),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(12, CLASSES),
        )
    )


class Vit(nn.Module):
    """A vision transformer with PyTorch's own encoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.places = nn.Parameter(torch.randn(1, (SIDE // PATCH) ** 2 + 1, WIDTH) * 0.3)
        self.block = nn.TransformerEncoderLayer(
            WIDTH, 2, 2 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.head(self.norm(self.block(x)[:, 0]))


class Attention(nn.Module):
    """Attention as timm writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = 2
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, count, width = x.shape
        split = self.qkv(x).reshape(batch, count, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, width))


class TimmVit(nn.Module):
    """A vision transformer in timm's form."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.places = nn.Parameter(torch.randn(1, (SIDE // PATCH) ** 2 + 1, WIDTH) * 0.3)
        self.norm1, self.norm2, self.norm = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.attention = Attention()
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 16), nn.GELU(), nn.Linear(16, WIDTH))
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        x = x + self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.head(self.norm(x)[:, 0])


def vit() -> nn.Module:
    return _ready(Vit())


def timm_vit() -> nn.Module:
    return _ready(TimmVit())


def _ready(network: nn.Module) -> nn.Module:
    network.eval()
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    colours = torch.randn(64, first.in_channels, 4, 4)
    pictures = nn.functional.interpolate(colours, (SIDE, SIDE), mode="bilinear")
    with torch.no_grad():
        logits = network(pictures)
        last.weight *= LOGIT_STD / logits.std(dim=0).mean()
        last.bias -= network(pictures).mean(dim=0)
    return network
