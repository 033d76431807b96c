"""The nodes from a bundle's input to the tensor that an imported graph reads.

    image uint8 [N, H, W, 3] -> planes -> BGR, or grey -> float -> upscaled -> (pixel - mean) / std
                             -> the graph's layout and type

ONNX Runtime is slow where the innermost axis is the three channels: it takes 30 times as long to
broadcast them there, and to reverse them. So planes (N, C, H, W) are normalised, or rows of pixels
(N, H, 3 W) where the graph reads pixels last (docs/decisions/importing.md).
"""

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from app.bundle import Resample
from app.vision.fused_resize.filter_weights import make_filter_weights
from training.importing.image_input import COLOUR, GREY
from training.importing.preparation import WHITE, Preparation
from training.importing.subgraph import Subgraph

_LUMA = (19595, 38470, 7471)
"""Weights of red, green and blue in grey, of 65536: Pillow's, by ITU-R BT.601. All sums are below
2 ** 24, so they are exact in float32."""
_LUMA_UNIT = 65536


def add_input_nodes(part: Subgraph, target: str, preparation: Preparation) -> None:
    """Add the nodes from `image` to `target`, the tensor that the graph reads."""
    image, normalization = preparation.image, preparation.normalization
    is_planar = image.layout == "nchw"
    is_reversed = normalization.channels == "bgr" and image.channels == COLOUR
    in_planes = is_planar or is_reversed or image.channels == GREY or preparation.is_upscaled
    last = part.node("Transpose", ["image"], "planes", perm=[0, 3, 1, 2]) if in_planes else "image"
    if is_reversed:
        order = part.constant("planes.order", np.arange(COLOUR)[::-1].astype(np.int64))
        last = part.node("Gather", [last, order], "planes.reversed", axis=1)
    if not (image.is_integer and normalization.is_identity) or last != "image":
        last = _floats(part, last, preparation)
    stays_in_planes = is_planar or image.channels == GREY or preparation.is_upscaled
    if in_planes and not stays_in_planes:
        last = part.node("Transpose", [last], "pixels.reversed", perm=[0, 2, 3, 1])
    if not (image.is_integer and normalization.is_identity):
        last = _normalized(part, last, preparation, planes=stays_in_planes)
    if stays_in_planes and not is_planar:
        last = part.node("Transpose", [last], "pixels.last", perm=[0, 2, 3, 1])
    if image.is_row:
        row = part.constant("row.shape", np.array([0, -1], np.int64))
        last = part.node("Reshape", [last, row], "row")
    if image.is_integer and preparation.is_upscaled:
        last = part.node("Round", [last], "pixels.rounded")
    if image.dtype != TensorProto.FLOAT or not part.nodes:
        last = part.node("Cast", [last], "pixels.typed", to=image.dtype)
    part.compute(target)


def _floats(part: Subgraph, last: str, preparation: Preparation) -> str:
    """Add the cast to float32, the conversion to grey and the upscaling."""
    last = part.node("Cast", [last], "pixels.float", to=TensorProto.FLOAT)
    if preparation.image.channels == GREY:
        luma = part.constant("luma", np.array(_LUMA, np.float32).reshape(-1, 1, 1))
        axes = part.constant("luma.axes", np.array([1], np.int64))
        half = part.constant("luma.half", np.array(_LUMA_UNIT / 2, np.float32))
        unit = part.constant("luma.unit", np.array(1 / _LUMA_UNIT, np.float32))
        last = part.node("Mul", [last, luma], "luma.mul")
        last = part.node("ReduceSum", [last, axes], "luma.sum", keepdims=1)
        last = part.node("Add", [last, half], "luma.add")
        last = part.node("Mul", [last, unit], "luma.scaled")
        last = part.node("Floor", [last], "grey")
    if preparation.is_upscaled:
        spec, (height, width) = preparation.spec, preparation.image.size
        down = _matrix(spec.height, height, preparation.upscaling)
        across = _matrix(spec.width, width, preparation.upscaling)
        rows = part.constant("upscale.rows", down)
        columns = part.constant("upscale.columns", across.T)
        limits = [
            part.constant(f"upscale.{name}", np.array(value, np.float32))
            for name, value in (("least", 0), ("most", WHITE))
        ]
        last = part.node("MatMul", [rows, last], "upscaled.rows")
        last = part.node("MatMul", [last, columns], "upscaled.overshooting")
        last = part.node("Clip", [last, *limits], "upscaled")
    return last


def _normalized(part: Subgraph, last: str, preparation: Preparation, *, planes: bool) -> str:
    """Add (pixel - mean) / std, on planes or on rows of pixels."""
    image, normalization = preparation.image, preparation.normalization
    unit = WHITE / normalization.pixel_range
    mean = np.array(normalization.mean, np.float32)[: image.channels] * np.float32(unit)
    scale = (1 / (np.array(normalization.std)[: image.channels] * unit)).astype(np.float32)
    if planes:
        shape: tuple[int, ...] = (image.channels, 1, 1)
    else:
        height, width = image.size
        shape = (width * image.channels,)
        mean, scale = np.tile(mean, width), np.tile(scale, width)
        rows = part.constant("rows.shape", np.array([0, height, *shape], np.int64))
        last = part.node("Reshape", [last, rows], "rows")
    for op, name, value, neutral in (("Sub", "mean", mean, 0), ("Mul", "scale", scale, 1)):
        if (value != neutral).any():
            constant = part.constant(f"pixels.{name}", value.reshape(shape))
            last = part.node(op, [last, constant], f"pixels.{op.lower()}")
    if not planes:
        sides = np.array([0, *image.size, image.channels], np.int64)
        last = part.node("Reshape", [last, part.constant("pixels.shape", sides)], "pixels")
    return last


def _matrix(inputs: int, outputs: int, resample: Resample) -> NDArray[np.float32]:
    """Return one direction of Pillow's resize as a matrix (outputs, inputs)."""
    filter = make_filter_weights(inputs, 0, inputs, outputs, resample)
    matrix = np.zeros((outputs, inputs + filter.weights.shape[1]), np.float32)
    columns = filter.first[:, np.newaxis] + np.arange(filter.weights.shape[1])
    np.put_along_axis(matrix, columns, filter.weights.astype(np.float32), axis=1)
    return matrix[:, :inputs]
