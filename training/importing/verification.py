"""A source -> a wrapped graph with the file's predictions, for one picture or many at a time.

The reference is the file itself, run on floats that NumPy normalised. Its output is checked, too:
one number per label, finite, different for different pictures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from app.errors import first_line_of
from app.runtime import ort
from training.errors import DataUnusable
from training.gates import PARITY, check_parity
from training.importing import batch_size, one_at_a_time
from training.importing.output_kind import OutputForm
from training.importing.preparation import Preparation
from training.importing.source import Source
from training.importing.wrap import Wrapped, wrap

_HALF_PARITY = 2e-3
"""The parity tolerance of a float16 graph: its softmax is in float16, the
bundle's in float32."""
_BATCH_TOLERANCE = 1e-4
"""The largest difference of a probability between a picture alone and in a batch."""
_BINARY = 2

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Verified:
    """A wrapped graph whose predictions are the file's."""

    wrapped: Wrapped
    difference: float
    """The largest difference of a probability."""
    one_at_a_time: str | None
    """Why pictures are run one by one; None if they are run together."""


def wrap_and_verify(
    source: Source,
    preparation: Preparation,
    form: OutputForm,
    expected: NDArray[np.float64],
    pixels: Pixels,
    file: Path,
) -> Verified:
    """Write the fp32 graph to `file`, and compare it with the file's own probabilities.

    Args:
        source: the source.
        preparation: what it expects of the pixels.
        form: the form of its output.
        expected: (N, K) the file's own probabilities of the photos.
        pixels: (N, S, S, 3) uint8 RGB, two photos at least.
        file: the file to write.

    Raises:
        DataUnusable: the graph can't be run.
        GateMissed: the graph's predictions differ from the file's.
    """
    allowed = _HALF_PARITY if source.has_float16 else PARITY
    reason, failure, missed = "", "", None
    for wrapped, is_scan in _candidates(source, preparation, form, expected.shape[1]):
        onnx.save(wrapped.model, file)
        try:
            alone, together = _run(file, pixels)
        except Exception as err:  # ONNX Runtime raises plain Exceptions
            failure = first_line_of(err)
            reason = "its batch size can't be made dynamic"
            continue
        if not np.abs(together - alone).max() <= _BATCH_TOLERANCE:
            reason = "pictures in one run change each other's predictions"
        elif not np.abs(alone - expected).max() <= allowed:
            missed = alone
        else:
            difference = check_parity(expected, alone, "the file", allowed)
            return Verified(wrapped, difference, reason if is_scan else None)
    if missed is not None:
        check_parity(expected, missed, "the file", allowed)
    raise DataUnusable(
        f"The model can't be run on pixels ({failure or reason}). Export it again, with a dynamic "
        "batch dimension."
    )


def _run(file: Path, pixels: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the probabilities (N, K) of the pictures run one by one, and run together."""
    session = ort.open_trial(file)
    alone = [
        session.run(["probabilities"], {"image": pixels[i : i + 1]})[0] for i in range(len(pixels))
    ]
    (together,) = session.run(["probabilities"], {"image": pixels})
    return np.concatenate(alone), together


def _candidates(
    source: Source, preparation: Preparation, form: OutputForm, classes: int
) -> Iterator[tuple[Wrapped, bool]]:
    """Yield graphs for any number of pictures, the fastest first, and whether they are a Scan."""
    for model in batch_size.variants(source):
        yield wrap(model, preparation, form, classes), False
    whole = wrap(source.model, preparation, form, classes)
    yield one_at_a_time.scan(whole, source.image.batch or 1), True


def check_output(source: Source, values: NDArray[np.float64], labels: int) -> NDArray[np.float64]:
    """Return the values of the classes as (N, K); K = 1 for a binary classifier.

    Raises:
        DataUnusable: they aren't a row of finite numbers, one for each label, or are the same for
            all photos.
    """
    tensor, shape = source.output.tensor, values.shape[1:]
    if len(shape) > 1:
        raise DataUnusable(
            f"The output {tensor!r} is {list(shape)} for a picture, and a classifier gives one "
            "number for each class. Name another with --output-name."
        )
    classes = shape[0] if shape else 1
    if classes != labels and (classes, labels) != (1, _BINARY):
        raise DataUnusable(_wrong_count(classes, labels))
    if not np.isfinite(values).all():
        raise DataUnusable(
            "The model's output holds NaN or infinity. Check --mean, --std and --pixel-range."
        )
    if (values == values[0]).all():
        raise DataUnusable(
            f"The model gives the same for every picture. Check that its input "
            f"{source.image.name!r} is the picture, and --mean, --std and --pixel-range."
        )
    return values.reshape(len(values), -1)


def _wrong_count(classes: int, labels: int) -> str:
    if classes == 1:
        return (
            "The model has one output, as binary classifiers have, and the label file has "
            f"{labels} labels. Name a file with two: first the label for 0, then the one for 1; or "
            "with the label for 1 alone."
        )
    hint = ""
    if classes == labels + 1:
        hint = " Some models have a first class for the background: add a label for it."
    return (
        f"The model has {classes} classes and the label file has {labels} labels.{hint} "
        "Name a file with a label for each class, in the model's order."
    )
