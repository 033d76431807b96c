"""Class activation maps, exact where the head is pooled and linear.

    logit[k] = mean over positions of (weight[k] . activation) + bias[k]

What is added to all logits alike, softmax doesn't see; so the weights and biases are centred over
the labels. A map then shows what speaks for its label *more than for the others*, and
softmax((mean of the maps + bias) / temperature) still gives the probabilities back.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.runtime.inspection.onnx_head import PooledHead


@dataclass(frozen=True, eq=False)
class CenteredHead:
    """A pooled linear head with what all labels share taken away."""

    weight: NDArray[np.float32]
    """(K, D), each column summing to 0."""
    bias: NDArray[np.float32]
    """(K,), summing to 0."""
    temperature: float


def centered(head: PooledHead) -> CenteredHead:
    """`head`, with the same probabilities for every photo."""
    weight = head.weight - head.weight.mean(axis=0, keepdims=True)
    return CenteredHead(weight, head.bias - head.bias.mean(), head.temperature)


def class_map(
    head: CenteredHead, activation: NDArray[np.float32], label: int
) -> NDArray[np.float32]:
    """The map (h, w) of one label, from the activation (D, h, w) of one photo."""
    found: NDArray[np.float32] = np.tensordot(head.weight[label], activation, axes=1)
    return found
