"""A source -> a wrapped graph that is known to give what the file gives, one or many at a time.

The reference is the file itself, run on floats that NumPy normalised. What its output can't be
(as many numbers as there are labels, probabilities, different for different pictures) is said here.
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

_SUM_OFF = 1e-2
"""From 1, that a row of probabilities may be."""
_HALF_PARITY = 2e-3
"""A float16 graph rounds its own softmax; the bundle's is in float32."""
_SAME = 1e-4
"""That a probability may differ between a picture alone and in company."""

Pixels = NDArray[np.uint8]


def fit(
    found: Source, normalization: Normalization, pixels: Pixels, labels: int, file: Path
) -> tuple[Wrapped, str]:
    """Write the fp32 graph to `file`, and hold it against the source on some photos.

    Args:
        found: the source.
        normalization: what it expects.
        pixels: (N, S, S, 3) uint8 RGB, two photos at least.
        labels: how many there are.
        file: what is written.

    Returns:
        The graph, and what to say of it.

    Raises:
        DataUnusable: the file can't be run, its output doesn't fit, or its batch can't be freed.
        GateMissed: the graph gives something else.
    """
    expected = _reference(found, normalization, pixels)
    _check_output(found, expected, labels)
    reason = ""
    for model in batch_size.variants(found):
        wrapped = wrap.wrap(model, found, normalization, labels)
        onnx.save(wrapped.model, file)
        try:
            session = Session(file, "cpu", "fp32")
            together = session.run(pixels)
            alone = probabilities_of(session, pixels)
        except Exception as err:  # ONNX Runtime's exceptions have no common base of their own
            reason = first_line_of(err)
            continue
        if np.abs(together - alone).max() <= _SAME:
            allowed = _HALF_PARITY if found.half else None
            difference = check_parity(_probabilities(found, expected), alone, "the file", allowed)
            return wrapped, _told(found, wrapped, difference)
        reason = "pictures in one run change each other's answers"
    raise DataUnusable(
        f"The model takes {found.batch or 1} picture at a time, and can't be made to take "
        f"any number ({reason}). Export it with a free batch dimension."
    )


def _told(found: Source, wrapped: Wrapped, difference: float) -> str:
    head = "a pooled linear head" if wrapped.head else "no pooled linear head, so no explanations"
    freed = f"; its batch of {found.batch} was made free" if found.batch else ""
    return (
        f"reads {found.layout.upper()} of {found.size}x{found.size}, gives {found.kind}; {head}"
        f"{freed}; parity with the file {difference:.1e}"
    )


def _reference(found: Source, normalization: Normalization, pixels: Pixels) -> NDArray[np.float64]:
    """What the file itself gives for each picture: (N, …), as its output has it."""
    model = onnx.ModelProto()
    model.CopyFrom(found.model)
    dummies = [v for v in model.graph.input if v.name != found.input]
    listed = {tensor.name for tensor in model.graph.initializer}
    for value in dummies:
        if value.name not in listed:
            model.graph.input.remove(value)
    floats = normalization.applied(pixels)
    if found.layout == "nchw":
        floats = floats.transpose(0, 3, 1, 2)
    floats = np.ascontiguousarray(floats.astype(np.float16 if found.half else np.float32))
    try:
        session = ort.open_session(model.SerializeToString())
        rows = [
            session.run([found.output], {found.input: np.repeat(each[None], found.batch or 1, 0)})
            for each in floats
        ]
    except Exception as err:  # ONNX Runtime's exceptions have no common base of their own
        raise DataUnusable(
            f"ONNX Runtime can't run the model ({first_line_of(err)}). "
            f"Export it again, for {found.size}x{found.size} pixels."
        ) from err
    return np.stack([row[0][0] for row in rows]).astype(np.float64)


def _check_output(found: Source, expected: NDArray[np.float64], labels: int) -> None:
    """Refuse an output that isn't a row of numbers, one for each label."""
    shape = [size for size in expected.shape[1:] if size != 1]
    if len(shape) != 1:
        raise DataUnusable(
            f"The output {found.output!r} is {list(expected.shape[1:])} for a picture, and a "
            "classifier gives one number for each class. Name another with --output-name."
        )
    if shape[0] != labels:
        hint = " A class for the background may come first." if shape[0] == labels + 1 else ""
        raise DataUnusable(
            f"The model has {shape[0]} classes and the file of labels {labels}.{hint} "
            "Name a file with a label for each class, in the model's order."
        )
    if not np.isfinite(expected).all():
        raise DataUnusable(
            "The model gives what is no number. Look at --mean, --std and the range."
        )
    if (expected == expected[0]).all():
        raise DataUnusable(
            f"The model gives the same for every picture: its input {found.input!r} is a dummy. "
            "Export the part that looks at pictures."
        )
    if found.kind == "probabilities":
        rows = expected.reshape(len(expected), -1)
        if rows.min() < -_SUM_OFF or np.abs(rows.sum(axis=1) - 1).max() > _SUM_OFF:
            raise DataUnusable(
                f"The output {found.output!r} is no probability: a row sums to "
                f"{rows.sum(axis=1)[0]:.3g}. Say --output-kind logits."
            )


def _probabilities(found: Source, expected: NDArray[np.float64]) -> NDArray[np.float64]:
    rows = expected.reshape(len(expected), -1)
    return rows if found.kind == "probabilities" else calibration.softmax(rows)
