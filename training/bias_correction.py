"""Rounded weights shift what a convolution gives on average; its bias can take that back.

    fp32 graph and photos -> the mean of each convolution's input, per channel
    weights and their int8 rounding -> the error of each weight
    mean times error -> added to the bias

After Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction"
(arXiv:1906.04721), section 4.2, with the means measured instead of derived. It costs nothing when
serving: DECISIONS.md has what it gains.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

INT8_MAX = 127


def correct_biases(model: onnx.ModelProto, pixels: NDArray[np.uint8]) -> onnx.ModelProto:
    """A copy of the fp32 graph `model` whose biases await int8 weights.

    Args:
        model: a graph written by training.export.
        pixels: (N, S, S, 3) uint8 RGB, the photos that the means are taken over.
    """
    means = _input_means(model, pixels)
    corrected = onnx.ModelProto()
    corrected.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in corrected.graph.initializer}
    for conv in _convolutions(corrected):
        source, weight, bias = conv.input
        shift = _rounding_error(numpy_helper.to_array(tensors[weight])).sum(axis=(2, 3))
        depthwise = shift.shape[1] == 1
        mean = means[source]
        lost = shift[:, 0] * mean if depthwise else shift @ mean
        value = (numpy_helper.to_array(tensors[bias]) + lost).astype(np.float32)
        tensors[bias].CopyFrom(numpy_helper.from_array(value, bias))
    return corrected


def _convolutions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == "Conv"]


def _rounding_error(weight: NDArray[np.float32]) -> NDArray[np.float64]:
    """What is lost where (O, I, k, k) weights are rounded to int8, symmetric per channel O."""
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True).astype(np.float64)
    scale = np.where(largest > 0, largest, 1) / INT8_MAX  # a dead channel stays zero
    return np.asarray(weight - np.rint(weight / scale) * scale)


def _input_means(
    model: onnx.ModelProto, pixels: NDArray[np.uint8]
) -> dict[str, NDArray[np.float64]]:
    """By tensor name, the mean of each channel over photos and positions."""
    import onnxruntime as ort

    names = sorted({conv.input[0] for conv in _convolutions(model)})
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    del observed.graph.output[:]
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = ort.InferenceSession(observed.SerializeToString(), providers=["CPUExecutionProvider"])
    sums: dict[str, Any] = dict.fromkeys(names, 0.0)
    for image in pixels:
        given = session.run(names, {"image": image[np.newaxis]})
        for name, value in zip(names, given, strict=True):
            sums[name] = sums[name] + value.mean(axis=(0, 2, 3), dtype=np.float64)
    return {name: total / len(pixels) for name, total in sums.items()}
