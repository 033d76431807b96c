"""fp32 graph and photos -> int8 graph: static QDQ, int8 weights per channel, uint8 activations.

Convolutions and additions become integer; pooling, head and softmax stay float, so that a class
activation map adds up to the logits exactly in this file too. ReLU6 disappears into the rounding
of the convolution before it: its range, 0..6, is the whole of uint8. The input needs no rounding
at all: it is (pixel - 127) / 128 of a uint8 pixel, so the first convolution reads the pixels.
What rounded weights would shift on average is taken back by the biases (training.bias_correction).
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from training.bias_correction import correct_biases
from training.normalization import PIXEL_OFFSET, PIXEL_SCALE

CALIBRATION_PHOTOS = 100
"""Photos whose activations give the ranges; DECISIONS.md has what other numbers gave."""


def quantize(fp32: Path, pixels: NDArray[np.uint8], int8: Path) -> None:
    """Write the int8 form of the graph `fp32` to `int8`.

    Args:
        fp32: a graph written by training.export.
        pixels: (N, S, S, 3) uint8 RGB, the photos that the activations' ranges are taken from.
        int8: the file to write.
    """
    from onnxruntime import quantization as ortq

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "model.onnx"
        onnx.save(_marked_as_prepared(correct_biases(onnx.load(fp32), pixels)), prepared)
        ortq.quantize_static(
            prepared,
            int8,
            reader(pixels),
            quant_format=ortq.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Clip", "Relu", "MaxPool", "Add"],
            per_channel=True,
            weight_type=ortq.QuantType.QInt8,
            activation_type=ortq.QuantType.QUInt8,
            calibrate_method=ortq.CalibrationMethod.MinMax,
            extra_options={"TensorQuantOverrides": {"planes": [_input_range()]}},
        )
    onnx.checker.check_model(onnx.load(int8), full_check=True)


def reader(pixels: NDArray[np.uint8]) -> Any:
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
