"""fp32 graph and photos -> int8 graph: static QDQ, int8 weights per channel, uint8 activations.

    photos -> what each convolution reads      patches
           -> its weights in seven bits, with a bias for what is lost    rounding
           -> ranges of the activations, and the graph                  ONNX Runtime's quantizer

Convolutions and additions become integer; pooling, head and softmax stay float, so that a class
activation map adds up to the logits exactly in this file too. ReLU6 disappears into the rounding
of the convolution before it: its range, 0..6, is the whole of uint8. The input needs no rounding
at all: it is (pixel - 127) / 128 of a uint8 pixel, so the first convolution reads the pixels.
"""

import tempfile
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from training.int8.activations import moments
from training.int8.gptq import Rounded, rounded
from training.networks.normalization import PIXEL_OFFSET, PIXEL_SCALE

CALIBRATION_PHOTOS = 100
"""Photos whose activations give the ranges; DECISIONS.md has what other numbers gave."""
_RANK = 4
_WITHOUT_BIAS = 2
_OPERATORS = ("Conv", "Clip", "Relu", "MaxPool", "Add", "Concat")


def quantize(fp32: Path, pixels: NDArray[np.uint8], int8: Path) -> None:
    """Write the int8 form of the graph `fp32` to `int8`.

    Args:
        fp32: a graph of training.onnx_graph.builder.
        pixels: (N, S, S, 3) uint8 RGB, the photos that ranges and roundings are taken from.
        int8: the file to write.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "model.onnx"
        onnx.save(_marked_as_prepared(onnx.load(fp32)), prepared)
        quantize_prepared(prepared, pixels, int8, {"planes": [_input_range()]})
    onnx.checker.check_model(onnx.load(int8), full_check=True)


def quantize_prepared(
    prepared: Path,
    pixels: NDArray[np.uint8],
    int8: Path,
    ranges: Mapping[str, Any] | None = None,
    in_float: Collection[str] = (),
) -> None:
    """Write the int8 form of a graph that has been folded and whose shapes are inferred.

    Args:
        prepared: the graph; it is replaced by one with rounded weights.
        pixels: (N, S, S, 3) uint8 RGB, the photos that ranges and roundings are taken from.
        int8: the file to write.
        ranges: the quantizer's overrides for activations whose range is known.
        in_float: names of nodes that stay float.
    """
    from onnxruntime import quantization as ortq

    model = onnx.load(prepared)
    weights = _round(model, pixels, in_float)
    onnx.save(model, prepared)
    ortq.quantize_static(
        prepared,
        int8,
        _reader(pixels),
        quant_format=ortq.QuantFormat.QDQ,
        op_types_to_quantize=list(_OPERATORS),
        nodes_to_exclude=[node.name for node in model.graph.node if node.name in in_float],
        per_channel=True,
        weight_type=ortq.QuantType.QInt8,
        activation_type=ortq.QuantType.QUInt8,
        calibrate_method=ortq.CalibrationMethod.MinMax,
        extra_options={
            "TensorQuantOverrides": {
                **(ranges or {}),
                **{name: _scales_of(weight) for name, weight in weights.items()},
            }
        },
    )


def _round(
    model: onnx.ModelProto, pixels: NDArray[np.uint8], in_float: Collection[str]
) -> dict[str, Rounded]:
    """Round the weights of `model`'s convolutions, where they stand; by name, the integers."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    found = _convolutions(model, tensors, in_float)
    result = {}
    for name, seen in moments(model, found, pixels).items():
        result[name] = weight = rounded(numpy_helper.to_array(tensors[name]), seen)
        tensors[name].CopyFrom(numpy_helper.from_array(weight.weight, name))
        _add_to_bias(model, found[name], weight.lost)
    return result


def _convolutions(
    model: onnx.ModelProto, tensors: Mapping[str, onnx.TensorProto], in_float: Collection[str]
) -> dict[str, onnx.NodeProto]:
    """By the name of their weight, the convolutions over two axes that become integer.

    Those that share a weight or a bias with something else are left to ONNX Runtime's rounding.
    """
    uses = Counter(name for node in model.graph.node for name in node.input)
    return {
        node.input[1]: node
        for node in model.graph.node
        if node.op_type == "Conv"
        and node.name not in in_float
        and all(uses[name] == 1 and name in tensors for name in node.input[1:])
        and len(tensors[node.input[1]].dims) == _RANK
    }


def _add_to_bias(model: onnx.ModelProto, conv: onnx.NodeProto, lost: NDArray[np.float64]) -> None:
    """Give back what the rounded weights of `conv` lose on average, (O,)."""
    before: Any = 0
    if len(conv.input) > _WITHOUT_BIAS:
        (tensor,) = (each for each in model.graph.initializer if each.name == conv.input[2])
        before = numpy_helper.to_array(tensor)
    else:
        tensor = model.graph.initializer.add()
        conv.input.append(f"{conv.input[1]}.lost")
    value = (before + lost).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(value, conv.input[2]))


def _scales_of(weight: Rounded) -> list[dict[str, Any]]:
    zero = np.array(0, np.int8)
    return [{"axis": 0, "scale": np.array(s), "zero_point": zero} for s in weight.scale]


def _reader(pixels: NDArray[np.uint8]) -> Any:
    """ONNX Runtime's reader of photos to take ranges from, (N, S, S, 3) uint8 RGB, one by one."""
    from onnxruntime import quantization as ortq

    class Reader(ortq.CalibrationDataReader):
        def __init__(self) -> None:
            self._rest = iter(pixels)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            image = next(self._rest, None)
            return None if image is None else {"image": image[np.newaxis]}

    return Reader()


def _input_range() -> dict[str, Any]:
    """The input's own scale, so that ONNX Runtime finds nothing left to round."""
    return {
        "scale": np.array(1 / PIXEL_SCALE, np.float32),
        "zero_point": np.array(PIXEL_OFFSET, np.uint8),
    }


def _marked_as_prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    """Tell the quantizer that nothing is left to fold or infer, or it warns."""
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)
