"""A source -> a wrapped graph with the file's predictions, for one picture or many at a time.

The reference is the file itself, run on floats that NumPy normalised. Its output is checked, too:
one number per label, probabilities where it should hold them, different for different pictures.
"""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from app.errors import first_line_of
from app.runtime import ort
from app.runtime.session import Session
from training import calibration
from training.errors import DataUnusable
from training.gates import check_parity, probabilities_of
from training.importing import batch_size, wrap
from training.importing.source import Source
from training.importing.wrap import Normalization, Wrapped

_SUM_TOLERANCE = 1e-2
"""The distance from 1 that the sum of a row of probabilities may have."""
_HALF_PARITY = 2e-3
"""The parity tolerance of a float16 graph: its softmax is in float16, the
bundle's in float32."""
_BATCH_TOLERANCE = 1e-4
"""The largest difference of a probability between a picture alone and in a batch."""

Pixels = NDArray[np.uint8]


def wrap_and_verify(
    source: Source, normalization: Normalization, pixels: Pixels, labels: int, file: Path
) -> tuple[Wrapped, str]:
    """Write the fp32 graph to `file`, and compare it with the source on some photos.

    Args:
        source: the source.
        normalization: the normalisation that it expects.
        pixels: (N, S, S, 3) uint8 RGB, two photos at least.
        labels: the number of labels.
        file: the file to write.

    Returns:
        The graph, and a summary of it for the user.

    Raises:
        DataUnusable: the file can't be run, its output doesn't fit, or its batch size is fixed.
        GateMissed: the graph's predictions differ from the file's.
    """
    expected = _reference(source, normalization, pixels)
    _check_output(source, expected, labels)
    reason = ""
    for model in batch_size.variants(source):
        wrapped = wrap.wrap(model, source, normalization, labels)
        onnx.save(wrapped.model, file)
        try:
            session = Session(file, "cpu", "fp32")
            together = session.run(pixels)
            alone = probabilities_of(session, pixels)
        except Exception as err:  # ONNX Runtime raises plain Exceptions
            reason = first_line_of(err)
            continue
        if np.abs(together - alone).max() <= _BATCH_TOLERANCE:
            allowed = _HALF_PARITY if source.is_float16 else None
            difference = check_parity(_probabilities(source, expected), alone, "the file", allowed)
            return wrapped, _summary(source, wrapped, difference)
        reason = "pictures in one run change each other's predictions"
    size = "" if source.batch is None else f" instead of {source.batch}"
    raise DataUnusable(
        f"The model can't be run with any number of pictures at a time{size} ({reason}). "
        "Export it with a dynamic batch dimension."
    )


def _summary(source: Source, wrapped: Wrapped, difference: float) -> str:
    head = (
        "a pooled linear head"
        if wrapped.head
        else "no pooled linear head, so explanations use occlusion and there are no embeddings"
    )
    dynamic = f"; its fixed batch size {source.batch} was made dynamic" if source.batch else ""
    return (
        f"reads {source.layout.upper()} of {source.size}x{source.size}, gives {source.kind}; {head}"
        f"{dynamic}; parity with the file {difference:.1e}"
    )


def _reference(source: Source, normalization: Normalization, pixels: Pixels) -> NDArray[np.float64]:
    """Return the file's own output for each picture: (N, …)."""
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    others = [v for v in model.graph.input if v.name != source.input]
    weights = {tensor.name for tensor in model.graph.initializer}
    for value in others:
        if value.name not in weights:
            model.graph.input.remove(value)
    floats = normalization.applied(pixels)
    if source.layout == "nchw":
        floats = floats.transpose(0, 3, 1, 2)
    floats = np.ascontiguousarray(floats.astype(np.float16 if source.is_float16 else np.float32))
    try:
        session = ort.open_session(model.SerializeToString())
        rows = [
            session.run(
                [source.output], {source.input: np.repeat(each[None], source.batch or 1, 0)}
            )
            for each in floats
        ]
    except Exception as err:  # ONNX Runtime raises plain Exceptions
        raise DataUnusable(
            f"ONNX Runtime can't run the model ({first_line_of(err)}). "
            f"Export it again, for {source.size}x{source.size} pixels."
        ) from err
    return np.stack([row[0][0] for row in rows]).astype(np.float64)


def _check_output(source: Source, expected: NDArray[np.float64], labels: int) -> None:
    """Reject an output that isn't a row of numbers, one for each label, or is the same for all."""
    shape = [size for size in expected.shape[1:] if size != 1]
    if len(shape) != 1:
        raise DataUnusable(
            f"The output {source.output!r} is {list(expected.shape[1:])} for a picture, and a "
            "classifier gives one number for each class. Name another with --output-name."
        )
    if shape[0] != labels:
        hint = (
            " Some models have a first class for the background: add a label for it."
            if shape[0] == labels + 1
            else ""
        )
        raise DataUnusable(
            f"The model has {shape[0]} classes and the label file has {labels} labels.{hint} "
            "Name a file with a label for each class, in the model's order."
        )
    if not np.isfinite(expected).all():
        raise DataUnusable(
            "The model's output holds NaN or infinity. Check --mean, --std and --pixel-range."
        )
    if (expected == expected[0]).all():
        raise DataUnusable(
            f"The model gives the same for every picture. Check that its input {source.input!r} is "
            "the picture, and --mean, --std and --pixel-range."
        )
    if source.kind == "probabilities":
        rows = expected.reshape(len(expected), -1)
        if rows.min() < -_SUM_TOLERANCE or np.abs(rows.sum(axis=1) - 1).max() > _SUM_TOLERANCE:
            raise DataUnusable(
                f"The output {source.output!r} is not probabilities: a row sums to "
                f"{rows.sum(axis=1)[0]:.3g}. Pass --output-kind logits."
            )


def _probabilities(source: Source, expected: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = expected.reshape(len(expected), -1)
    return rows if source.kind == "probabilities" else calibration.softmax(rows)
