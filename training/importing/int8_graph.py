"""An imported graph and photos -> its int8 form, which must pass the gates of every bundle.

Convolutions, and the activations and additions between them, become integer; what stands around
the source's graph, its head included, stays float. Batch normalisation is first folded into the
convolutions by ONNX Runtime.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.bundle import MODEL_FILES
from app.errors import first_line_of
from app.runtime.session import Session
from training.gates import INT8_FEW_IMAGES, compare_int8
from training.int8.quantize import CALIBRATION_PHOTOS, quantize_prepared

COMPARED = 2000
"""Photos at most; the gate needs half of them."""


def quantized(
    folder: Path,
    fp32: Session,
    own: Sequence[str],
    photos: tuple[NDArray[np.uint8], NDArray[np.intp], NDArray[np.intp]],
    seed: int,
) -> tuple[Session | None, str]:
    """The int8 graph in `folder`, or None and no file where it missed a gate; and what to say.

    Args:
        folder: where the fp32 graph lies and the int8 graph goes.
        fp32: the session of the fp32 graph.
        own: names of the nodes that stay float.
        photos: pixels (R, S, S, 3) uint8 RGB; each photo's row (N,) of them; its class (N,). Some
            give the ranges, the others are compared on.
        seed: chooses which do what.
    """
    pixels, rows, truth = photos
    order = np.random.default_rng(seed).permutation(len(truth))
    count = min(CALIBRATION_PHOTOS, len(order) // 2)
    calibration_set, holdout = np.sort(order[:count]), np.sort(order[count : count + COMPARED])
    if len(holdout) < INT8_FEW_IMAGES:
        few = f"there are fewer than {INT8_FEW_IMAGES} photos to compare it on"
        return None, f"int8 is left out: {few}"
    file = folder / MODEL_FILES["int8"]
    try:
        _quantize(folder / MODEL_FILES["fp32"], pixels[rows[calibration_set]], own, file)
        int8 = Session(file, "cpu", "int8")
    except Exception as err:  # the quantizer's exceptions have no common base
        file.unlink(missing_ok=True)
        return None, f"int8 is left out: the graph can't be quantised ({first_line_of(err)})"
    result = compare_int8(fp32, int8, pixels[rows[holdout]], truth[holdout])
    told = (
        f"int8 on {result.images} photos: drop {100 * result.drop:.2f} points, "
        f"{result.speedup:.2f} times as fast"
    )
    if result.misses:
        file.unlink()
        return None, f"{told}; it is left out: {'; '.join(result.misses)}"
    return int8, told


def _quantize(fp32: Path, pixels: NDArray[np.uint8], own: Sequence[str], int8: Path) -> None:
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(fp32, prepared, skip_symbolic_shape=True)
        quantize_prepared(prepared, pixels, int8, in_float=own)
