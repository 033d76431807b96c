"""The optimizer Muon."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - only with torch

from training.torch_loop.muon import Muon  # noqa: E402


def test_the_step_of_muon_is_orthogonal_and_as_long_as_its_rate():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(8, 3, 3, 3))
    before = weight.detach() * (8**0.5 / weight.detach().norm())
    weight.grad = torch.randn_like(weight)
    Muon([weight], lr=0.1, momentum=0.0).step()
    moved = (before - weight.detach()).flatten(1) / 0.1
    values = torch.linalg.svdvals(moved)
    assert values.min() > 0.5
    assert values.max() < 1.3
