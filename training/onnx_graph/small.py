"""A network of training.networks.small -> the self-contained ONNX graph of a bundle.

    planes -> for each unit: Conv (normalisation folded in) -> Relu -> MaxPool
    fast       the last unit's maps = activation [N, D, h, w] -> mean -> embedding [N, D]
    textbook   the last unit's maps, flattened = embedding [N, D]; no activation, since its fully
               connected layer has a weight of its own for every position

Tensors are named after the units: `conv1` is the output of its ReLU, `conv1.pool` of its pooling.
ReLU comes before pooling, as in textbooks and as ONNX Runtime fuses it. Training pools first, with
the same result.
"""

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from training.networks.small import Fast, Textbook, Unit
from training.onnx_graph.builder import GraphBuilder
from training.onnx_graph.efficientnet_lite import folded


def export(network: Textbook | Fast, size: int, temperature: float = 1.0) -> onnx.ModelProto:
    """Return the graph of `network` for inputs of `size` pixels, checked in full."""
    graph = GraphBuilder()
    tensor, side, channels = graph.add_input(), size, 3
    last = len(network.units) - 1
    for number, (name, unit) in enumerate(network.units.items()):
        assert isinstance(unit, Unit)
        output = "activation" if number == last and isinstance(network, Fast) else name
        tensor, side = _add(graph, unit, name, tensor, side, output)
        channels = unit.conv.out_channels
    head = network.head
    outputs: dict[str, tuple[int, ...]] = {
        "probabilities": (head.out_features,),
        "embedding": (head.in_features,),
    }
    if isinstance(network, Fast):
        graph.pool()
        outputs["activation"] = (channels, side, side)
    else:
        graph.node("Flatten", [tensor], "embedding", name="flatten", axis=1)
    graph.add_head(array(head.weight), array(head.bias), temperature)
    return graph.model(size, outputs)


def _add(
    graph: GraphBuilder, unit: Unit, name: str, tensor: str, side: int, output: str
) -> tuple[str, int]:
    """Add `unit`, and return the name and the side in pixels of its output."""
    if unit.norm is None:
        assert unit.conv.bias is not None
        weight, bias = array(unit.conv.weight), array(unit.conv.bias)
    else:
        weight, bias = _folded(unit)
    kernel, padding = weight.shape[-1], int(np.ravel(unit.conv.padding)[0])
    convolved = graph.convolution(
        tensor, f"{name}.conv", weight, bias, layer=name, pads=(padding, padding)
    )
    rectified = graph.node("Relu", [convolved], output, name=f"{name}.relu")
    side = side + 2 * padding - kernel + 1
    if not unit.pool:
        return rectified, side
    pooled = graph.node("MaxPool", [rectified], f"{name}.pool", kernel_shape=[2, 2], strides=[2, 2])
    return pooled, side // 2


def _folded(unit: Unit) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    norm = unit.norm
    assert norm is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    tensors = (unit.conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return folded(*map(array, tensors), epsilon=norm.eps)


def array(tensor: torch.Tensor) -> NDArray[np.float64]:
    """Return a parameter in float64."""
    return np.asarray(tensor.detach().cpu().numpy(), np.float64)
