"""Quantise an fp32 graph: static QDQ, int8 weights per channel, uint8 activations.

    photos -> the input of each convolution                             activations
           -> its weights in seven bits, and the bias that corrects     gptq
              their mean error
           -> ranges of the activations, and the int8 graph             ONNX Runtime's quantizer

Convolutions, additions, max pooling and concatenations become integer. Mean pooling, head and
softmax stay float, so a class activation map adds up to the logits exactly in the int8 graph too.
ReLU6 needs no node of its own: its range, 0..6, is the whole of the uint8 output of the convolution
before it. The input is
(pixel - 127) / 128 of a uint8 pixel and needs no rounding: the first convolution reads the pixels.
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
from training.int8.gptq import Rounded, round_weights
from training.networks.normalization import PIXEL_OFFSET, PIXEL_SCALE

CALIBRATION_PHOTOS = 100
"""Photos whose activations give the ranges; docs/experiments.md (2026-11-22) compares numbers."""
_CONV_WEIGHT_RANK = 4
_INPUTS_WITHOUT_BIAS = 2
_OPERATORS = ("Conv", "Clip", "Relu", "MaxPool", "Add", "Concat")


def quantize(
    fp32: Path,
    pixels: NDArray[np.uint8],
    int8_file: Path,
    *,
    prepare: bool = False,
    in_float: Collection[str] = (),
) -> None:
    """Write the int8 form of the graph `fp32` to `int8_file`.

    Args:
        fp32: a graph of training.onnx_graph.builder, or any other with `prepare`.
        pixels: (N, S, S, 3) uint8 RGB, the photos that ranges and roundings are taken from.
        int8_file: the file to write.
        prepare: fold batch normalisation and infer shapes first; for graphs by other programs.
        in_float: names of nodes that stay float.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "model.onnx"
        if prepare:
            from onnxruntime.quantization.shape_inference import quant_pre_process

            quant_pre_process(fp32, prepared, skip_symbolic_shape=True)
            _quantize_prepared(prepared, pixels, int8_file, {}, in_float)
            return
        onnx.save(_marked_as_prepared(onnx.load(fp32)), prepared)
        _quantize_prepared(prepared, pixels, int8_file, {"planes": [_input_range()]}, in_float)
    onnx.checker.check_model(onnx.load(int8_file), full_check=True)


def _quantize_prepared(
    prepared: Path,
    pixels: NDArray[np.uint8],
    int8_file: Path,
    ranges: Mapping[str, Any],
    in_float: Collection[str],
) -> None:
    """Write the int8 form of a graph that has been folded and whose shapes are inferred.

    `prepared` is replaced by a graph with rounded weights; `ranges` overrides the quantizer for
    activations whose range is known.
    """
    from onnxruntime import quantization as ortq

    model = onnx.load(prepared)
    weights = _round(model, pixels, in_float)
    onnx.save(model, prepared)
    ortq.quantize_static(
        prepared,
        int8_file,
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
                **ranges,
                **{name: _scales_of(weight) for name, weight in weights.items()},
            }
        },
    )


def _round(
    model: onnx.ModelProto, pixels: NDArray[np.uint8], in_float: Collection[str]
) -> dict[str, Rounded]:
    """Round the weights of `model`'s convolutions in place; return them by name."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    convolutions = _convolutions(model, tensors, in_float)
    weights = {}
    for name, moments_of_input in moments(model, convolutions, pixels).items():
        weight = round_weights(numpy_helper.to_array(tensors[name]), moments_of_input)
        tensors[name].CopyFrom(numpy_helper.from_array(weight.weight, name))
        _add_to_bias(model, convolutions[name], weight.mean_error)
        weights[name] = weight
    return weights


def _convolutions(
    model: onnx.ModelProto, tensors: Mapping[str, onnx.TensorProto], in_float: Collection[str]
) -> dict[str, onnx.NodeProto]:
    """Return the convolutions over two axes that become integer, by the name of their weight.

    A convolution that shares its weight or bias is left to ONNX Runtime's rounding.
    """
    uses = Counter(name for node in model.graph.node for name in node.input)
    return {
        node.input[1]: node
        for node in model.graph.node
        if node.op_type == "Conv"
        and node.name not in in_float
        and all(uses[name] == 1 and name in tensors for name in node.input[1:])
        and len(tensors[node.input[1]].dims) == _CONV_WEIGHT_RANK
    }


def _add_to_bias(
    model: onnx.ModelProto, conv: onnx.NodeProto, mean_error: NDArray[np.float64]
) -> None:
    """Add the mean error (O,) of the rounded weights of `conv` to its bias."""
    before: Any = 0
    if len(conv.input) > _INPUTS_WITHOUT_BIAS:
        (tensor,) = (known for known in model.graph.initializer if known.name == conv.input[2])
        before = numpy_helper.to_array(tensor)
    else:
        tensor = model.graph.initializer.add()
        conv.input.append(f"{conv.input[1]}.bias")
    value = (before + mean_error).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(value, conv.input[2]))


def _scales_of(weight: Rounded) -> list[dict[str, Any]]:
    zero = np.array(0, np.int8)
    return [{"axis": 0, "scale": np.array(s), "zero_point": zero} for s in weight.scale]


def _reader(pixels: NDArray[np.uint8]) -> Any:
    """Return a reader that hands the calibration photos (N, S, S, 3) to ONNX Runtime singly."""
    from onnxruntime import quantization as ortq

    class Reader(ortq.CalibrationDataReader):
        def __init__(self) -> None:
            self._rest = iter(pixels)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            image = next(self._rest, None)
            return None if image is None else {"image": image[np.newaxis]}

    return Reader()


def _input_range() -> dict[str, Any]:
    """Return the scale of the input, with which the pixels are represented exactly."""
    return {
        "scale": np.array(1 / PIXEL_SCALE, np.float32),
        "zero_point": np.array(PIXEL_OFFSET, np.uint8),
    }


def _marked_as_prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    """Mark the model as preprocessed, since the quantizer warns otherwise; infer its shapes."""
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)
