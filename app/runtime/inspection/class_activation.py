"""Class activation maps, exact where the head is pooled and linear.

    logit[k] = mean over positions of (weight[k] . activation) + bias[k]

Softmax ignores what is added to all logits alike, so the weights and biases are centred over the
labels. A map then shows what raises its label's logit *more than the others'*, and
softmax((mean of the maps + bias) / temperature) still equals the probabilities. In a multi-label
model a sigmoid reads each logit alone, so nothing is centred.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.runtime.inspection.onnx_head import PooledHead


@dataclass(frozen=True, eq=False)
class CentredHead:
    """A pooled linear head, centred over the labels unless it ends in a sigmoid."""

    weight: NDArray[np.float32]
    """(K, D), each column summing to 0 if centred."""
    bias: NDArray[np.float32]
    """(K,), summing to 0 if centred."""
    temperature: float


def centre_head(head: PooledHead) -> CentredHead:
    """Return `head` centred over the labels; its probabilities stay the same for every photo."""
    if head.is_sigmoid:
        return CentredHead(head.weight, head.bias, head.temperature)
    weight = head.weight - head.weight.mean(axis=0, keepdims=True)
    return CentredHead(weight, head.bias - head.bias.mean(), head.temperature)


def class_map(
    head: CentredHead, activation: NDArray[np.float32], label: int
) -> NDArray[np.float32]:
    """Return the map (h, w) of one label, from the activation (D, h, w) of one photo."""
    values: NDArray[np.float32] = np.tensordot(head.weight[label], activation, axes=1)
    return values
