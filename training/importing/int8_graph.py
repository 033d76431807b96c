"""Make the int8 form of an imported graph from labelled photos.

Convolutions, and the activations and additions between them, become integer. The nodes that the
importer added, including a rewritten head, stay float.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import first_line_of
from app.runtime.session import Session
from training import gates
from training.int8 import candidate
from training.int8.candidate import Comparison, QuantizationFailed


def make(
    folder: Path,
    fp32: Session,
    in_float: Collection[str],
    photos: tuple[NDArray[np.uint8], NDArray[np.intp], NDArray[np.intp]],
    seed: int,
) -> tuple[Session | None, str]:
    """Return the int8 graph in `folder`, or None and no file, and a line about the result.

    Args:
        folder: holds the fp32 graph and receives the int8 graph.
        fp32: the session of the fp32 graph.
        in_float: names of the nodes that stay float.
        photos: pixels (R, S, S, 3) uint8 RGB; the row (N,) of each photo; its class (N,). One part
            calibrates the graph, and the rest compares it with fp32.
        seed: selects the photos of each set.
    """
    pixels, rows, truth = photos
    calibration_set, holdout = candidate.split(len(truth), seed, candidate.MAX_HOLDOUT)
    try:
        int8 = candidate.make(
            folder,
            fp32,
            pixels[rows[calibration_set]],
            Comparison(pixels, rows[holdout], truth[holdout]),
            min_holdout=gates.INT8_MIN_LABELLED,
            prepare=True,
            in_float=in_float,
        )
    except QuantizationFailed as err:
        reason = first_line_of(err.reason)
        return None, f"int8 is left out: the graph can't be quantised ({reason})"
    return int8.session, int8.line
