"""Make the int8 form of an imported graph from labelled photos.

Convolutions, and the activations and additions between them, become integer. The nodes that the
importer added, including a rewritten head, stay float.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import first_line_of
from app.runtime.session import Session
from training import gates
from training.importing.labelled_photos import LabelledPhotos
from training.int8 import candidate
from training.int8.candidate import Comparison, LabelComparison, QuantizationFailed


def make(
    folder: Path,
    fp32: Session,
    in_float: Collection[str],
    photos: LabelledPhotos,
    seed: int,
    thresholds: Sequence[float] | None = None,
) -> tuple[Session | None, str]:
    """Return the int8 graph in `folder`, or None and no file, and a line about the result.

    Args:
        folder: holds the fp32 graph and receives the int8 graph.
        fp32: the session of the fp32 graph.
        in_float: names of the nodes that stay float.
        photos: one part calibrates the graph, and the rest compares it with fp32.
        seed: selects the photos of each set.
        thresholds: (K,) of a multi-label model.
    """
    pixels, rows, truth = photos.pixels, photos.examples.rows, photos.truth
    calibration_set, holdout = candidate.split(len(truth), seed, candidate.MAX_HOLDOUT)
    try:
        int8 = candidate.make(
            folder,
            fp32,
            pixels[rows[calibration_set]],
            _comparison(photos, holdout, thresholds),
            min_holdout=gates.INT8_MIN_LABELLED,
            prepare=True,
            in_float=in_float,
        )
    except QuantizationFailed as err:
        reason = first_line_of(err.reason)
        return None, f"int8 is left out: the graph can't be quantised ({reason})"
    return int8.session, int8.line


def _comparison(
    photos: LabelledPhotos, holdout: NDArray[np.intp], thresholds: Sequence[float] | None
) -> Comparison:
    examples = photos.examples
    rows, truth = examples.rows[holdout], photos.truth[holdout]
    if examples.label_matrix is None or thresholds is None:
        return Comparison(photos.pixels, rows, truth)
    return LabelComparison(
        photos.pixels,
        rows,
        truth,
        label_matrix=examples.label_matrix[holdout],
        thresholds=np.array(thresholds, np.float32),
    )
