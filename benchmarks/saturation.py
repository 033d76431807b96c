"""Compute the int8 probabilities of a processor without VNNI, on any processor.

    python benchmarks/saturation.py model/imagenet

Without VNNI, x86 multiplies uint8 by int8 with vpmaddubsw, which adds two neighbouring products in
16 bits and saturates. The script runs the int8 graph in NumPy, once exactly and once with that
saturation in every convolution but the depthwise ones, whose kernels use 32 bits. Per golden photo:

    rounding    largest difference of a probability between NumPy's exact run and ONNX Runtime's;
                a golden photo's tolerance must be larger, since another correct kernel may
                differ as much from ONNX Runtime
    saturated   the same with saturation; equal to `rounding` if no product saturates, as with
                weights within ±64
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from app import bundle, vision
from training.data.photos import LIMITS

Array = NDArray[Any]
LOWEST, HIGHEST = -(2**15), 2**15 - 1


class IntegerGraph:
    """An interpreter of the graphs of training.int8.quantize, for one image, node by node."""

    def __init__(self, model: onnx.ModelProto, *, saturates: bool) -> None:
        self._nodes = model.graph.node
        self._saturates = saturates
        self._values: dict[str, Array] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }
        self._quantized: dict[str, tuple[Array, Array, Array]] = {}
        """Integers, scale and zero point of each dequantised tensor."""

    def run(self, image: Array) -> Array:
        """Return probabilities (K,) of one image (1, S, S, 3) uint8."""
        self._values["image"] = image
        for node in self._nodes:
            inputs = [self._values[name] for name in node.input]
            options = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            if node.op_type == "Conv":
                value = self._convolution(node, options)
            elif node.op_type == "DequantizeLinear":
                value = _dequantized(*inputs)
                self._quantized[node.output[0]] = (inputs[0], inputs[1], inputs[2])
            else:
                value = _FLOAT[node.op_type](*inputs, **options)
            self._values[node.output[0]] = value
        return self._values["probabilities"][0]

    def _convolution(self, node: onnx.NodeProto, options: dict[str, Any]) -> Array:
        (image, image_scale, zero), (weight, weight_scale, _), (bias, _, _) = (
            self._quantized[name] for name in node.input
        )
        kernel, stride, pads = options["kernel_shape"][0], options["strides"][0], options["pads"]
        sides = ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3]))
        padded = np.pad(image, sides, constant_values=zero).astype(np.int32)[0]
        side = (padded.shape[1] - kernel) // stride + 1
        reach = stride * (side - 1) + 1
        # (kernel * kernel, I, side * side): the inputs of each filter weight
        windows = np.stack(
            [
                padded[:, y : y + reach : stride, x : x + reach : stride].reshape(len(padded), -1)
                for y in range(kernel)
                for x in range(kernel)
            ]
        )
        weights = weight.astype(np.int32).reshape(*weight.shape[:2], -1)  # (O, I, kernel * kernel)
        if options["group"] > 1:
            total = np.einsum("tos,ot->os", windows - int(zero), weights[:, 0])
        else:
            # ONNX Runtime's order: by position in the filter, then by channel
            rows = windows.reshape(-1, windows.shape[-1])
            columns = weights.transpose(2, 1, 0).reshape(len(rows), -1)
            sums = _saturating(rows, columns) if self._saturates else columns.T @ rows
            total = sums - int(zero) * columns.sum(axis=0)[:, np.newaxis]
        scale = (image_scale * weight_scale)[:, np.newaxis]
        return np.asarray((total + bias[:, np.newaxis]) * scale, np.float32).reshape(
            1, -1, side, side
        )


def _saturating(rows: Array, columns: Array) -> Array:
    """Return the products' sums over P, (O, M), of (P, M) and (P, O); pairs saturate at 16 bits."""
    if len(rows) % 2:
        rows, columns = (np.pad(each, ((0, 1), (0, 0))) for each in (rows, columns))
    total = np.zeros((columns.shape[1], rows.shape[1]), np.int32)
    for first in range(0, len(rows), 2):
        pair = columns[first : first + 2].T @ rows[first : first + 2]
        total += np.clip(pair, LOWEST, HIGHEST)
    return total


def _dequantized(value: Array, scale: Array, zero: Array) -> Array:
    shape = (-1,) + (1,) * (value.ndim - 1) if scale.ndim else ()
    difference = value.astype(np.int32) - zero.astype(np.int32).reshape(shape)
    return np.asarray(difference * scale.reshape(shape), np.float32)


def _softmax(logits: Array, axis: int) -> Array:
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


_FLOAT: dict[str, Callable[..., Array]] = {
    "QuantizeLinear": lambda x, scale, zero: np.clip(np.rint(x / scale) + zero, 0, 255).astype(
        np.uint8
    ),
    "Transpose": lambda x, perm: x.transpose(perm),
    "Add": np.add,
    "ReduceMean": lambda x, axes, keepdims: x.mean(axis=tuple(axes)),
    "Gemm": lambda x, weight, bias, **_: x @ weight.T + bias,
    "Div": np.divide,
    "Softmax": _softmax,
}


@click.command(help=__doc__.split("\n", 1)[0])
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Run each golden photo with and without saturation and print the differences."""
    loaded = bundle.load(folder)
    model = onnx.load(loaded.model_path("int8"))
    golden = loaded.manifest.golden
    expected = np.load(loaded.path(golden.expected["int8"]))
    click.echo("| photo | rounding | saturated | tolerance |\n|---|---|---|---|")
    for photo, row in zip(golden.photos, expected, strict=True):
        picture = vision.decode(loaded.path(photo.file).read_bytes(), LIMITS)
        image = vision.resize(picture, loaded.manifest.input)[np.newaxis]
        exact, saturated = (
            float(np.abs(IntegerGraph(model, saturates=each).run(image) - row).max())
            for each in (False, True)
        )
        tolerance = photo.tolerance["int8"]
        click.echo(f"| {photo.file} | {exact:.4f} | {saturated:.4f} | {tolerance:g} |")


if __name__ == "__main__":
    main()
