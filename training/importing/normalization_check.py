"""Warn of a normalisation that can't be the one that the model was trained with.

    the numbers        mean and std of another pixel range, or in the order of the other channels
    the first layer    its mean and variance on photos, compared with those that the file stores
    the predictions    the same for all photos, or certain of one class for all of them

Each is a warning and no error: a model may be odd.
"""

from contextlib import suppress

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from app.bundle import Task
from app.runtime import ort
from training.importing.image_input import COLOUR
from training.importing.normalization import Normalization
from training.importing.preparation import WHITE, Preparation
from training.importing.source import Source

_IMAGENET_RED_BLUE = (0.485, 0.406)
_RELATIVE = 0.03
_NARROW = 0.1
"""Distance of black and white after normalisation below which photos hardly differ."""
_WIDE = 300
"""The largest usual distance of black and white: pixels of 0 to 255 as they are give 255."""
_FAR = 8.0
"""Distance of the first layer's mean from the stored one, in standard deviations."""
_RATIO = 8.0
"""Ratio of the first layer's standard deviation and the stored one."""
_SAME = 1e-3
_CERTAIN = 0.9999


def of_numbers(preparation: Preparation) -> list[str]:
    """Return warnings about the numbers alone."""
    normalization = preparation.normalization
    if preparation.image.is_integer:
        return []
    warnings = []
    white = normalization.pixel_range
    mean, std = np.array(normalization.mean), np.array(normalization.std)
    black_to_white = white / std
    other = WHITE if white == 1 else 1
    if (mean > white).any():
        warnings.append(
            f"--mean {mean.max():g} is beyond --pixel-range {white}, so that all pixels are "
            f"negative. Check --pixel-range: it may be {other}."
        )
    elif (mean < 0).any():
        warnings.append(f"--mean {mean.min():g} is negative, and pixels are not. Check --mean.")
    if black_to_white.min() < _NARROW:
        warnings.append(
            f"with --std {std.max():g} and --pixel-range {white}, black and white are "
            f"{black_to_white.min():.2g} apart, so that photos hardly differ. Check --pixel-range: "
            f"it may be {other}."
        )
    if black_to_white.max() > _WIDE:
        warnings.append(
            f"with --std {std.min():g} and --pixel-range {white}, black and white are "
            f"{black_to_white.max():.3g} apart, and 2 to 255 are usual. Check --pixel-range: it "
            f"may be {other}."
        )
    if preparation.image.channels == COLOUR:
        warnings.extend(_order(normalization))
    return warnings


def _order(normalization: Normalization) -> list[str]:
    first, _, last = (value / normalization.pixel_range for value in normalization.mean)
    is_rgb = np.allclose((first, last), _IMAGENET_RED_BLUE, rtol=_RELATIVE)
    is_bgr = np.allclose((last, first), _IMAGENET_RED_BLUE, rtol=_RELATIVE)
    if is_bgr and normalization.channels == "rgb":
        return ["--mean is in the order of BGR. Check --channels: it may be bgr."]
    if is_rgb and normalization.channels == "bgr":
        return [
            "--mean is in the order of RGB, and with --channels bgr its first number is for blue. "
            "Check the order of --mean and --std."
        ]
    return []


def of_predictions(probabilities: NDArray[np.floating], task: Task = "single_label") -> list[str]:
    """Return warnings about the probabilities (N, K) of different photos."""
    spread = float(np.ptp(probabilities, axis=0).max())
    confidence = probabilities.max(axis=1)
    if task == "multi_label":  # each label is decided by itself, present or absent
        confidence = np.maximum(probabilities, 1 - probabilities).min(axis=1)
    if spread < _SAME:
        return [
            f"the predictions of {len(probabilities)} different photos differ by {spread:.1g} at "
            "most. Check --mean, --std and --pixel-range."
        ]
    if confidence.min() > _CERTAIN:
        return [
            f"the model is certain (over {_CERTAIN}) about all of {len(probabilities)} different "
            "photos. Check --mean, --std and --pixel-range."
        ]
    return []


def of_first_layer(
    source: Source, preparation: Preparation, pixels: NDArray[np.uint8]
) -> list[str]:
    """Return warnings about the first batch normalisation, where the file still has one.

    It stores mean and variance of what the first layer gave for the training photos.
    """
    node = _first_batch_normalization(source)
    stored = {tensor.name: tensor for tensor in source.model.graph.initializer}
    if node is None or not {node.input[3], node.input[4]} <= stored.keys():
        return []
    mean, variance = (
        numpy_helper.to_array(stored[name]).astype(np.float64) for name in node.input[3:5]
    )
    with suppress(Exception):  # then nothing is learnt from it
        maps = _values(source, node.input[0], preparation, pixels)
        deviation = np.sqrt(np.maximum(variance, np.finfo(np.float32).tiny))
        distance = float(np.median(np.abs(maps.mean(axis=1) - mean) / deviation))
        ratio = float(np.median(maps.std(axis=1) / deviation))
        return _about_first_layer(distance, ratio)
    return []


def _about_first_layer(distance: float, ratio: float) -> list[str]:
    if distance <= _FAR and 1 / _RATIO <= ratio <= _RATIO:
        return []
    return [
        f"on photos, the first layer's outputs are {distance:.1f} standard deviations from the "
        f"mean that the file stores, and vary {ratio:.2g} times as much. Check --mean, --std and "
        "--pixel-range."
    ]


def _first_batch_normalization(source: Source) -> onnx.NodeProto | None:
    """Return the batch normalisation that directly follows the first convolution."""
    for node in source.model.graph.node:
        if node.op_type == "Conv":
            return next(
                (
                    after
                    for after in source.model.graph.node
                    if after.op_type == "BatchNormalization" and after.input[0] == node.output[0]
                ),
                None,
            )
    return None


def _values(
    source: Source, tensor: str, preparation: Preparation, pixels: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Return what a tensor (N, C, h, w) holds on photos, by channel: (C, N * h * w)."""
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    session = ort.open_session(model.SerializeToString())
    rows = []
    for picture in pixels:
        floats = np.repeat(preparation.applied(picture[np.newaxis]), source.image.batch or 1, 0)
        rows.append(session.run([tensor], {source.image.name: floats})[0][:1])
    maps = np.concatenate(rows).astype(np.float64)
    return maps.transpose(1, 0, 2, 3).reshape(maps.shape[1], -1)
