"""The verification of a bundle's graph before it is used: its signature, then its golden photos.

golden photo -> decode -> resize -> run -> finite, rows of probabilities, the right shapes
                                        -> compare with the expected probabilities
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.bundle import Bundle, Task
from app.errors import BundleMismatch, InputError, ModelOutputInvalid
from app.runtime.session import Session

_LIMITS = vision.Limits(max_bytes=10_000_000, max_pixels=50_000_000)
_OPTIONAL = {"embedding": 2, "activation": 4, "familiarity": 1}
"""The outputs that a graph may lack, and their ranks."""
_SUM_TOLERANCE = 0.02
"""The distance from 1 that the sum of a row of probabilities may have. `hubel import` accepts half
of it, and int8 rounds."""


@dataclass(frozen=True)
class GoldenResult:
    """The deviation of one golden photo from its expected probabilities."""

    file: str
    difference: float
    """Largest absolute difference of any probability."""
    tolerance: float

    @property
    def passed(self) -> bool:
        """True if the difference is within the tolerance."""
        return self.difference <= self.tolerance


def check_signature(session: Session, bundle: Bundle) -> None:
    """Compare the graph's inputs and outputs with bundle.json.

    Raises:
        BundleMismatch: one of them differs; the message says which, and how.
    """
    count = len(bundle.manifest.labels)
    _require(session.inputs, "input", "image", "tensor(uint8)", [*bundle.manifest.input.shape])
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
            "bundle.json has a threshold for familiarity, but the graph has no output "
            "'familiarity'. Export it again."
        )
    if (baseline := bundle.manifest.embedding_baseline(session.precision)) is not None:
        _require_embedding(session, len(baseline.mean))


def _require_embedding(session: Session, dimensions: int) -> None:
    """Check that the graph has the embedding that the baseline describes."""
    _, shape = session.outputs.get("embedding", ("", [None, 0]))
    if shape[1] not in (dimensions, None) and not isinstance(shape[1], str):
        raise BundleMismatch(
            f"The baseline in bundle.json has embeddings of {dimensions} numbers, which the graph "
            "does not return. Export it again."
        )


def _require(
    nodes: dict[str, tuple[str, list[int | str | None]]],
    kind: str,
    name: str,
    dtype: str,
    shape: list[int],
) -> None:
    if name not in nodes:
        raise BundleMismatch(
            f"The graph has no {kind} {name!r}, only {', '.join(nodes)}. Export it again."
        )
    actual_dtype, actual_shape = nodes[name]
    if actual_dtype != dtype or actual_shape[1:] != shape or isinstance(actual_shape[0], int):
        raise BundleMismatch(
            f"The graph's {kind} {name!r} is {actual_dtype} {actual_shape}; its bundle.json needs "
            f"{dtype} {['N', *shape]}. Use a graph and a bundle.json that were made together."
        )


def run_golden(session: Session, bundle: Bundle, *, all_cores: bool = False) -> list[GoldenResult]:
    """Run every golden photo from bytes to probabilities.

    Args:
        session: the session to verify.
        bundle: the bundle with the golden photos.
        all_cores: run on the multi-threaded session.

    Raises:
        BundleMismatch: a golden file can't be read, or has the wrong shape; or the graph fails on
            one, or returns what aren't probabilities.
    """
    golden, labels = bundle.manifest.golden, bundle.manifest.labels
    expected = _expected(bundle, session)
    names = ["probabilities", *(name for name in _OPTIONAL if name in session.outputs)]
    view = vision.view_of(bundle.manifest.input)
    results = []
    for photo, row in zip(golden.photos, expected, strict=True):
        try:
            picture = vision.decode(bundle.path(photo.file).read_bytes(), _LIMITS, view)
        except InputError as err:
            raise BundleMismatch(f"Golden photo {photo.file}: {err}") from err
        pixels = vision.resize(picture, bundle.manifest.input)
        try:
            outputs = session.outputs_of(names, pixels[np.newaxis], all_cores=all_cores)
        except ModelOutputInvalid as err:
            raise BundleMismatch(f"Golden photo {photo.file}: {err}") from err
        except Exception as err:  # ONNX Runtime's exceptions have no common base of their own
            raise BundleMismatch(
                f"The {session.precision} graph fails on golden photo {photo.file} ({err}). "
                "Export the bundle again."
            ) from err
        _require_shapes(dict(zip(names, outputs, strict=True)), len(labels), photo.file)
        probabilities = outputs[0][0]
        _require_probabilities(probabilities, bundle.manifest.task, photo.file)
        names = ["probabilities"]  # the other outputs were checked on the first photo
        if (label := labels[int(row.argmax())].name) != photo.label:
            raise BundleMismatch(
                f"Golden photo {photo.file} has the label {photo.label!r} in bundle.json, but its "
                f"expected probabilities give {label!r}. Use files that were made together."
            )
        difference = np.abs(probabilities - row).max()
        results.append(
            GoldenResult(photo.file, float(difference), photo.tolerance[session.precision])
        )
    return results


def _require_shapes(outputs: dict[str, NDArray[np.float32]], labels: int, file: str) -> None:
    """Reject outputs whose shapes aren't those of one photo; ONNX Runtime only warns of them."""
    for name, output in outputs.items():
        expected = (1, labels) if name == "probabilities" else (1, *output.shape[1:])
        rank = _OPTIONAL.get(name, len(expected))
        if output.shape != expected or output.ndim != rank:
            raise BundleMismatch(
                f"The graph's output {name!r} is {list(output.shape)} for golden photo {file}, "
                "which isn't what the graph declares. Export it again."
            )


def _require_probabilities(row: NDArray[np.float32], task: Task, file: str) -> None:
    if task == "multi_label":
        if row.min() < 0 or row.max() > 1:
            raise BundleMismatch(
                f"The graph's outputs for golden photo {file} aren't probabilities: they are from "
                f"{row.min():.3g} to {row.max():.3g}. Export it with a Sigmoid."
            )
        return
    total = float(row.sum())
    if row.min() < -_SUM_TOLERANCE or abs(total - 1) > _SUM_TOLERANCE:
        raise BundleMismatch(
            f"The graph's outputs for golden photo {file} aren't probabilities: they are from "
            f"{row.min():.3g} to {row.max():.3g}, and sum to {total:.3g}. Export it with a Softmax."
        )


def require_golden(results: list[GoldenResult], session: Session) -> None:
    """Reject a session that exceeds the tolerance of a golden photo.

    Raises:
        BundleMismatch: a difference exceeds its tolerance; the message names the largest.
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
        raise BundleMismatch(f"{name} isn't a single array. Export the bundle again.")
    if array.shape != shape or array.dtype != np.float32:
        raise BundleMismatch(
            f"{name} is {array.dtype} {list(array.shape)}; float32 {list(shape)} is needed. "
            "Export the bundle again."
        )
    return array
