"""What the convolutions of a graph read on real photos.

    photos -> the graph, with each convolution's input as an output
           -> patches at random places -> moments

The places are the same in every run, and so are the sums.
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
"""Of each photo and convolution: the more, the more weights an output has."""
_LANES = 2
"""Photos side by side: no more on more cores, so that the sums are the same everywhere."""


def moments(
    model: onnx.ModelProto, convolutions: Mapping[str, onnx.NodeProto], pixels: NDArray[np.uint8]
) -> dict[str, Moments]:
    """By the name of the weight, the moments of what its convolution reads.

    Args:
        model: a graph whose input is `image`.
        convolutions: some of its convolutions of two axes, by the name of their weight.
        pixels: (N, S, S, 3) uint8 RGB, photos to look at.
    """
    if not convolutions:
        return {}
    session, names = _observing(model, [conv.input[0] for conv in convolutions.values()])
    kernels = {tensor.name: np.array(tensor.dims[2:]) for tensor in model.graph.initializer}

    def lane(first: int) -> dict[str, Moments]:
        rng = np.random.default_rng(first)
        sums: dict[str, Moments] = {}
        for image in pixels[first::_LANES]:
            inputs = dict(zip(names, session.run(names, {"image": image[np.newaxis]}), strict=True))
            for weight, conv in convolutions.items():
                seen = Moments.of(patches(inputs[conv.input[0]][0], conv, kernels[weight], rng))
                if weight in sums:
                    sums[weight] += seen
                else:
                    sums[weight] = seen
        return sums

    with ThreadPoolExecutor(_LANES) as pool:
        found, *others = pool.map(lane, range(min(_LANES, len(pixels))))
    for other in others:
        for weight, seen in other.items():
            found[weight] += seen
    return found


def _observing(model: onnx.ModelProto, tensors: list[str]) -> tuple[Any, list[str]]:
    """A session whose outputs are `tensors`, and their names, each once."""
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
    """(G, P, K) what `conv` reads of `planes` (C, h, w) at random places.

    Its `kernel` (2,) has two sides; K is C / G times both.
    """
    said = {each.name: helper.get_attribute_value(each) for each in conv.attribute}
    stride, dilation = (np.array(said.get(name, [1, 1])) for name in ("strides", "dilations"))
    window = dilation * (kernel - 1) + 1
    padded = np.pad(planes, ((0, 0), *_pads(said, np.array(planes.shape[1:]), window, stride)))
    views = sliding_window_view(padded, tuple(window), axis=(1, 2))
    views = views[:, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    groups = said.get("group", 1)
    width = len(planes) // groups * int(kernel.prod())
    places = min(_MOST_PLACES, max(_FEWEST_PLACES, width // 4))
    rows, columns = (rng.integers(0, length, places) for length in views.shape[1:3])
    taken = views[:, rows, columns].reshape(groups, -1, places, int(kernel.prod()))
    return np.ascontiguousarray(taken.transpose(0, 2, 1, 3)).reshape(groups, places, width)


def _pads(
    said: Mapping[str, Any], shape: Integers, window: Integers, stride: Integers
) -> list[tuple[int, int]]:
    """Zeros before and after each axis."""
    rule = said.get("auto_pad", b"NOTSET")
    if rule in (b"SAME_UPPER", b"SAME_LOWER"):
        total = np.maximum((-(-shape // stride) - 1) * stride + window - shape, 0)
        less, more = total // 2, total - total // 2
        before, after = (less, more) if rule == b"SAME_UPPER" else (more, less)
        return list(zip(before.tolist(), after.tolist(), strict=True))
    top, left, bottom, right = said.get("pads", [0, 0, 0, 0])
    return [(top, bottom), (left, right)]
