"""Muon, an optimizer: each filter bank moves by the orthogonal matrix nearest to its momentum.

    gradient -> momentum (Nesterov) -> orthogonal, by Newton-Schulz -> times the rate -> weights

Weights are scaled to one length before each step, since their length has no effect before a batch
normalisation. After Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
as the CIFAR-10 speed runs use it. PyTorch's own Muon accepts matrices, but no convolutions.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

_STEPS = 3
_A, _B, _C = 3.4445, -4.7750, 2.0315
"""Coefficients of the polynomial a x + b x^3 + c x^5, which moves singular values towards 1."""


class Muon(torch.optim.Optimizer):
    """An optimizer for convolutions (O, I, k, k) that a batch normalisation follows.

    Args:
        parameters: the filters.
        lr: the length of a step, relative to the norm of an orthogonal filter bank.
        momentum: the share of the momentum that each step keeps.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Move every filter bank that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                momentum = state.setdefault("momentum", torch.zeros_like(weight))
                momentum.mul_(group["momentum"]).add_(weight.grad)
                nesterov = weight.grad.add(momentum, alpha=group["momentum"])
                weight.mul_(len(weight) ** 0.5 / weight.norm())
                direction = _orthogonalize(nesterov.flatten(1)).view_as(weight)
                weight.add_(direction, alpha=-group["lr"])


def _orthogonalize(matrix: Tensor) -> Tensor:
    """Return approximately the orthogonal matrix that is nearest to `matrix` (m, n)."""
    wide = matrix.T if matrix.size(0) > matrix.size(1) else matrix
    x = wide / (wide.norm() + 1e-7)
    for _ in range(_STEPS):
        gram = x @ x.T
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.T if matrix.size(0) > matrix.size(1) else x
