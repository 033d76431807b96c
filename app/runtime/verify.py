"""A bundle proves itself before it serves: its graph's signature, then its golden photos.

golden photo -> decode -> resize -> run -> against the probabilities that it must give.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.bundle import Bundle
from app.errors import BundleMismatch, InputError
from app.runtime.session import Session

_ANY_PHOTO = vision.Limits(max_bytes=10_000_000, max_pixels=50_000_000)


_OPTIONAL = {"embedding": 2, "activation": 4, "familiarity": 1}
"""Outputs that a graph may have, and their ranks."""


@dataclass(frozen=True)
class GoldenResult:
    """How far one golden photo is from what it must give."""

    file: str
    difference: float
    """Largest absolute difference of any probability."""
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.difference <= self.tolerance


def check_signature(session: Session, bundle: Bundle) -> None:
    """Compare the graph's inputs and outputs with what the bundle says.

    Raises:
        BundleMismatch: one of them differs; the message says which, and how.
    """
    size = bundle.manifest.input.size
    count = len(bundle.manifest.labels)
    _require(session.inputs, "input", "image", "tensor(uint8)", [size, size, 3])
    _require(session.outputs, "output", "probabilities", "tensor(float)", [count])
    for name, rank in _OPTIONAL.items():
        dtype, shape = session.outputs.get(name, ("tensor(float)", [None] * rank))
        if dtype != "tensor(float)" or len(shape) != rank:
            raise BundleMismatch(
                f"The graph's output {name!r} is {dtype} of rank {len(shape)}; a float tensor of "
                f"rank {rank} is needed. Export it again."
            )
    rule = bundle.manifest.unknown
    if rule is not None and rule.score == "familiarity" and rule.score not in session.outputs:
        raise BundleMismatch(
            "bundle.json has a threshold of familiarity, and the graph no such output. "
            "Export it again."
        )


def _require(
    found: dict[str, tuple[str, list[int | str | None]]],
    kind: str,
    name: str,
    dtype: str,
    shape: list[int],
) -> None:
    if name not in found:
        raise BundleMismatch(
            f"The graph has no {kind} {name!r}, only {', '.join(found)}. Export it again."
        )
    got_dtype, got_shape = found[name]
    if got_dtype != dtype or got_shape[1:] != shape or isinstance(got_shape[0], int):
        raise BundleMismatch(
            f"The graph's {kind} {name!r} is {got_dtype} {got_shape}; its bundle.json needs "
            f"{dtype} {['N', *shape]}. Bring labels, size and graph together again."
        )


def run_golden(session: Session, bundle: Bundle, *, alone: bool = False) -> list[GoldenResult]:
    """Send every golden photo its whole way, from bytes to probabilities.

    Args:
        session: what is to be proved.
        bundle: whose photos.
        alone: over all cores, as a run that is alone.

    Raises:
        BundleMismatch: a golden file can't be read, or has the wrong shape.
    """
    golden, labels = bundle.manifest.golden, bundle.manifest.labels
    expected = _expected(bundle, session)
    results = []
    for photo, wanted in zip(golden.photos, expected, strict=True):
        try:
            picture = vision.decode(bundle.path(photo.file).read_bytes(), _ANY_PHOTO)
        except InputError as err:
            raise BundleMismatch(f"Golden photo {photo.file}: {err}") from err
        pixels = vision.resize(picture, bundle.manifest.input)
        try:
            probabilities = session.run(pixels[np.newaxis], alone=alone)[0]
        except Exception as err:  # ONNX Runtime's exceptions have no common base of their own
            raise BundleMismatch(
                f"The {session.precision} graph fails on golden photo {photo.file} ({err}). "
                "Export the bundle again."
            ) from err
        if (label := labels[int(wanted.argmax())].name) != photo.label:
            raise BundleMismatch(
                f"Golden photo {photo.file} must be {photo.label!r}, and its expected "
                f"probabilities say {label!r}. Bring labels and graph together again."
            )
        difference = np.abs(probabilities - wanted).max()  # a NaN passes no comparison
        results.append(
            GoldenResult(photo.file, float(difference), photo.tolerance[session.precision])
        )
    return results


def require_golden(results: list[GoldenResult], session: Session) -> None:
    """Refuse a session whose golden photos are off.

    Raises:
        BundleMismatch: names the worst of them, and by how much.
    """
    if missed := [result for result in results if not result.passed]:
        worst = max(missed, key=lambda result: result.difference)
        raise BundleMismatch(
            f"{session.precision} misses its golden photo {worst.file} by {worst.difference:.2g} "
            f"on this machine; {worst.tolerance:.2g} is allowed. Export the bundle again."
        )


def _expected(bundle: Bundle, session: Session) -> NDArray[np.float32]:
    name = bundle.manifest.golden.expected[session.precision]
    shape = (len(bundle.manifest.golden.photos), len(bundle.manifest.labels))
    try:
        array: NDArray[np.float32] = np.load(
            io.BytesIO(bundle.path(name).read_bytes()), allow_pickle=False
        )
    except (OSError, ValueError, EOFError, MemoryError) as err:
        raise BundleMismatch(f"{name} can't be read ({err}). Copy the bundle again.") from err
    if not isinstance(array, np.ndarray):
        raise BundleMismatch(f"{name} is no single array. Export the bundle again.")
    if array.shape != shape or array.dtype != np.float32:
        raise BundleMismatch(
            f"{name} is {array.dtype} {list(array.shape)}; float32 {list(shape)} is needed. "
            "Export the bundle again."
        )
    return array
