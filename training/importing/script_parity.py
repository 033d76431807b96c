"""Compare the bundle's predictions with those of a script of the user's, photo by photo.

    reference photos -> decoded and resized as in serving -> the wrapped graph -> differences
                     -> options that would come clearly nearer -> a hint
    a difference beyond the tolerance -> GateMissed

Parity with the file can't show a wrong --mean or --crop: file and bundle get the same pixels there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from app.bundle import Fit, InputSpec, Label, Resample
from app.errors import InputError
from app.runtime.session import Session
from training.contracts import ReportProgress
from training.data.photos import read_pixels
from training.errors import DataUnusable, GateMissed
from training.gates import probabilities_of
from training.importing.preparation import Preparation, prepare
from training.importing.presets import PRESETS, Preprocessing
from training.importing.reference_file import Reference

DEFAULT_TOLERANCE = 0.25
"""The largest difference of a probability. With the same options, a script that resizes once is up
to 0.25 from Hubel, which resizes in two steps (docs/experiments.md, 2026-11-28)."""
_CROPS = (1.0, 0.875, 0.9, 0.95)
_CLEARLY_BETTER = 0.5
"""The share of the mean difference below which other options are worth a hint."""
_MIN_GAIN = 0.005

Predict = Callable[[Preparation, NDArray[np.uint8]], NDArray[np.float64]]
"""Returns the file's own probabilities (N, K) of pixels (N, S, S, 3) in some preparation."""


@dataclass(frozen=True)
class ScriptParity:
    """The comparison with a script, for bundle.json."""

    photos: int
    largest: float
    """The largest difference of a probability."""
    mean: float
    """The mean over the photos of their largest differences."""
    tolerance: float


def compare(
    references: Sequence[Reference],
    session: Session,
    spec: InputSpec,
    labels: Sequence[Label],
    tolerance: float,
    report_progress: ReportProgress,
) -> ScriptParity:
    """Compare a graph with the references, and report the largest difference for each photo."""
    rows = probabilities_of(session, _pixels(references, spec))
    differences = []
    for reference, row in zip(references, rows, strict=True):
        index, difference = _largest(reference, row)
        differences.append(difference)
        report_progress(
            f"reference {reference.photo.name}: largest difference {difference:.4f}, for "
            f"{labels[index].name}: {row[index]:.4f} here, {reference.probabilities[index]:.4f} in "
            "the reference"
        )
    return ScriptParity(len(references), max(differences), float(np.mean(differences)), tolerance)


def require(
    parity: ScriptParity,
    references: Sequence[Reference],
    preparation: Preparation,
    preprocessing: Preprocessing,
    predict: Predict,
) -> str | None:
    """Return a hint at options that come clearly nearer to the references, or None.

    Raises:
        GateMissed: the largest difference is over the tolerance.
    """
    best, hint = parity.mean, None
    is_square = preparation.image.size[0] == preparation.image.size[1]
    for words, other in _alternatives(preprocessing, is_square=is_square):
        changed = prepare(
            preparation.image, other.normalization, other.crop, other.resample, other.fit
        )
        rows = predict(changed, _pixels(references, changed.spec))
        pairs = zip(references, rows, strict=True)
        mean = float(np.mean([_largest(reference, row)[1] for reference, row in pairs]))
        if mean < min(best, _CLEARLY_BETTER * parity.mean) - _MIN_GAIN:
            best = mean
            hint = f"With {words} the mean difference is {mean:.3f} instead of {parity.mean:.3f}."
    if not parity.largest <= parity.tolerance:
        raise GateMissed(
            f"The predictions differ from the reference by {parity.largest:.3f} in a probability; "
            f"{parity.tolerance:g} is allowed, so nothing is written. "
            f"{f'{hint} ' if hint else ''}Check the preprocessing options against the script, or "
            "raise --reference-tolerance."
        )
    return hint


def _largest(reference: Reference, row: NDArray[np.floating]) -> tuple[int, float]:
    """Return the class whose probability differs most, and the difference."""
    differences = {
        index: abs(float(row[index]) - stated) for index, stated in reference.probabilities.items()
    }
    index = max(differences, key=lambda index: differences[index])
    return index, differences[index]


def _alternatives(stated: Preprocessing, *, is_square: bool) -> Iterator[tuple[str, Preprocessing]]:
    """Yield other preprocessings with the options that state them."""
    other_order: Literal["rgb", "bgr"] = "bgr" if stated.channels == "rgb" else "rgb"
    mean, std = stated.mean, stated.std
    yield f"--channels {other_order}", replace(stated, channels=other_order)
    yield (
        f"--channels {other_order}, and --mean and --std in its order,",
        replace(stated, channels=other_order, mean=mean[::-1], std=std[::-1]),
    )
    other_range: Literal[1, 255] = 255 if stated.pixel_range == 1 else 1
    yield f"--pixel-range {other_range}", replace(stated, pixel_range=other_range)
    for crop in _CROPS:
        yield f"--crop {crop:g}", replace(stated, crop=crop)
    for resample in get_args(Resample):
        yield f"--resample {resample}", replace(stated, resample=resample)
    for fit in get_args(Fit):
        if fit != "cover" or is_square:
            yield f"--fit {fit}", replace(stated, fit=fit)
    for name, preset in PRESETS.items():
        yield f"--preset {name} alone", replace(preset, fit=stated.fit)


def _pixels(references: Sequence[Reference], spec: InputSpec) -> NDArray[np.uint8]:
    photos = [reference.photo for reference in references]
    try:
        return read_pixels(photos, spec)
    except (InputError, OSError) as err:
        raise DataUnusable(f"A reference photo can't be read: {err}") from err
