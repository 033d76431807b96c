"""A network in PyTorch, run on the pixels of photos.

uint8 RGB (N, S, S, 3) -> normalize -> float (N, 3, S, S) -> network -> logits (N, K)
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.networks.normalization import PIXEL_OFFSET, PIXEL_SCALE


def normalize(pixels: Tensor) -> Tensor:
    """Return uint8 RGB (N, S, S, 3) as the float (N, 3, S, S) that a network reads."""
    return ((pixels.float() - PIXEL_OFFSET) / PIXEL_SCALE).permute(0, 3, 1, 2)


def predict_logits(network: nn.Module, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the logits (N, K) of uint8 RGB (N, S, S, 3), computed one image at a time."""
    with torch.inference_mode():
        rows = [network(normalize(torch.from_numpy(image[np.newaxis]))) for image in pixels]
    logits: NDArray[np.float32] = torch.cat(rows).numpy()
    return logits
