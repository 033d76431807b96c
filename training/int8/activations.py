"""Compute the first and second moments of the input patches of each convolution on photos.

    photos -> the graph, with each convolution's input as an output
           -> patches at random places -> moments

The places are the same in every run, so the sums are too.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import TensorProto, helper

from app.runtime import ort
from training.int8.gptq import Moments

Integers = NDArray[np.intp]

_FEWEST_PLACES, _MOST_PLACES = 10, 50
"""Places in each photo for a convolution; convolutions with larger filters get more."""
_PARALLEL_PHOTOS = 2
"""Photos in parallel: a fixed number, so that the sums are the same on any number of cores."""


def moments(
    model: onnx.ModelProto, convolutions: Mapping[str, onnx.NodeProto], pixels: NDArray[np.uint8]
) -> dict[str, Moments]:
    """Return the moments of the input of each convolution, by the name of its weight.

    Args:
        model: a graph whose input is `image`.
        convolutions: convolutions of the graph over two axes, by the name of their weight.
        pixels: (N, S, S, 3) uint8 RGB, the calibration set.
    """
    if not convolutions:
        return {}
    session, names = _observing(model, [conv.input[0] for conv in convolutions.values()])
    kernels = {tensor.name: np.array(tensor.dims[2:]) for tensor in model.graph.initializer}

    def sum_every_second(first: int) -> dict[str, Moments]:
        rng = np.random.default_rng(first)
        sums: dict[str, Moments] = {}
        for image in pixels[first::_PARALLEL_PHOTOS]:
            inputs = dict(zip(names, session.run(names, {"image": image[np.newaxis]}), strict=True))
            for weight, conv in convolutions.items():
                moments_of_photo = Moments.of(
                    patches(inputs[conv.input[0]][0], conv, kernels[weight], rng)
                )
                if weight in sums:
                    sums[weight] += moments_of_photo
                else:
                    sums[weight] = moments_of_photo
        return sums

    with ThreadPoolExecutor(_PARALLEL_PHOTOS) as pool:
        total, *others = pool.map(sum_every_second, range(min(_PARALLEL_PHOTOS, len(pixels))))
    for other in others:
        for weight, more in other.items():
            total[weight] += more
    return total


def _observing(model: onnx.ModelProto, tensors: list[str]) -> tuple[Any, list[str]]:
    """Return a session whose outputs are `tensors`, and the names of its outputs."""
    names = sorted(set(tensors))
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    del observed.graph.output[:]
    observed.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    return ort.open_session(observed.SerializeToString(), threads=1), names


def patches(
    planes: NDArray[np.float32], conv: onnx.NodeProto, kernel: Integers, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the input patches (G, P, K) of `conv` in `planes` (C, h, w) at random places.

    `kernel` (2,) has its two sides; K is C / G times both.
    """
    attributes = {a.name: helper.get_attribute_value(a) for a in conv.attribute}
    stride, dilation = (np.array(attributes.get(name, [1, 1])) for name in ("strides", "dilations"))
    window = dilation * (kernel - 1) + 1
    padded = np.pad(
        planes, ((0, 0), *_pads(attributes, np.array(planes.shape[1:]), window, stride))
    )
    views = sliding_window_view(padded, tuple(window), axis=(1, 2))
    views = views[:, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    groups = attributes.get("group", 1)
    width = len(planes) // groups * int(kernel.prod())
    places = min(_MOST_PLACES, max(_FEWEST_PLACES, width // 4))
    rows, columns = (rng.integers(0, length, places) for length in views.shape[1:3])
    taken = views[:, rows, columns].reshape(groups, -1, places, int(kernel.prod()))
    return np.ascontiguousarray(taken.transpose(0, 2, 1, 3)).reshape(groups, places, width)


def _pads(
    attributes: Mapping[str, Any], shape: Integers, window: Integers, stride: Integers
) -> list[tuple[int, int]]:
    """Return the padding before and after each axis."""
    rule = attributes.get("auto_pad", b"NOTSET")
    if rule in (b"SAME_UPPER", b"SAME_LOWER"):
        total = np.maximum((-(-shape // stride) - 1) * stride + window - shape, 0)
        less, more = total // 2, total - total // 2
        before, after = (less, more) if rule == b"SAME_UPPER" else (more, less)
        return list(zip(before.tolist(), after.tolist(), strict=True))
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    return [(top, bottom), (left, right)]
