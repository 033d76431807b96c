"""A loaded model: a verified bundle, and a session of the precision selected for this host.

folder -> bundle.json -> sha256 -> for each precision: session -> signature -> golden photos

The first precision that passes is used. On a CPU int8 is tried first, then fp32. Without int8
instructions, int8 is also timed against fp32. If int8 is too slow or fails its golden photos,
fp32 is used, and `notes` says so. CUDA never uses int8.
"""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app import bundle as bundles
from app.bundle import Bundle, EmbeddingBaseline, Manifest, Precision
from app.errors import BundleMismatch
from app.runtime.batching import Batches
from app.runtime.ort import saturates_int8
from app.runtime.session import Device, Session
from app.runtime.verify import check_signature, require_golden, run_golden

MIN_INT8_SPEEDUP = 1.1
"""The minimum speed relative to fp32 at which int8 is used, if it has to be timed. The gain must
outweigh a little accuracy and exceed the noise of the timing."""
_MAX_TIMED_RUNS = 7
"""The most timed runs of each precision; timing stops early once the majority is certain."""


class Outputs(NamedTuple):
    """What a graph makes of one image."""

    probabilities: NDArray[np.float32]
    """(K,)"""
    familiarity: float | None
    """None if the bundle's threshold does not use it."""
    embedding: NDArray[np.float32] | None = None
    """(D,), perhaps not finite. None if the bundle has no baseline for it."""


@dataclass(frozen=True)
class Model:
    """A verified bundle and its session; a request keeps its model until it is done."""

    bundle: Bundle
    session: Session
    notes: tuple[str, ...] = ()
    """Notes for the operator: each precision that was skipped, and why."""
    service_s: float = 0.02
    """Seconds from bytes to probabilities, measured on the golden photos."""
    batches: Batches | None = None
    """On a GPU, runs photos in batches."""

    @property
    def manifest(self) -> Manifest:
        """The content of bundle.json."""
        return self.bundle.manifest

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def version(self) -> int:
        """The model's version."""
        return self.manifest.version

    @property
    def embedding_baseline(self) -> EmbeddingBaseline | None:
        """The baseline of embeddings for the precision that serves, if the bundle has one."""
        return self.manifest.embedding_baseline(self.session.precision)

    def run(self, image: NDArray[np.uint8], *, all_cores: bool = False) -> Outputs:
        """Return what the graph makes of one image (H, W, 3) uint8 RGB, in one run.

        `all_cores` runs it on the multi-threaded session.

        Raises:
            ModelOutputInvalid: a probability, or the familiarity, is NaN or infinite.
        """
        names = _output_names(self.bundle, self.session)
        if self.batches is not None:
            rows = [*self.batches.run(image)]
        else:
            outputs = self.session.unchecked_outputs_of(
                names, image[np.newaxis], all_cores=all_cores
            )
            rows = [output[0] for output in outputs]
        embedding = rows.pop() if names[-1] == "embedding" else None
        self.session.require_finite(names[: len(rows)], rows)
        return Outputs(rows[0], float(rows[1]) if len(rows) > 1 else None, embedding)

    def run_with_embedding(self, image: NDArray[np.uint8], *, all_cores: bool = False) -> Outputs:
        """Return what `run` returns, always with the embedding: of a graph that has one.

        Raises:
            ModelOutputInvalid: an output is NaN or infinite.
        """
        names = _output_names(self.bundle, self.session)
        if self.batches is not None or names[-1] == "embedding":
            outputs = self.run(image, all_cores=all_cores)
            embedding = outputs.embedding
            if embedding is None:  # of a batch, which has it only where drift needs it
                (row,) = self.session.outputs_of(["embedding"], image[np.newaxis])
                return outputs._replace(embedding=row[0])
            self.session.require_finite(["embedding"], [embedding])
            return outputs
        rows = self.session.outputs_of(
            [*names, "embedding"], image[np.newaxis], all_cores=all_cores
        )
        familiarity = float(rows[1][0]) if len(names) > 1 else None
        return Outputs(rows[0][0], familiarity, rows[-1][0])


def _output_names(bundle: Bundle, session: Session) -> list[str]:
    """Return the names of the outputs that a classification needs; `embedding` is the last."""
    rule = bundle.manifest.unknown
    names = ["probabilities"]
    if rule is not None and rule.score == "familiarity":
        names.append("familiarity")
    if bundle.manifest.embedding_baseline(session.precision) is not None:
        names.append("embedding")
    return names


def load_model(
    folder: Path, device: Device, precision: Precision | None = None, cores: int = 1
) -> Model:
    """Load and verify the bundle in `folder`.

    Args:
        folder: the bundle.
        device: the device that must run it.
        precision: the precision to use; None selects one.
        cores: the cores of the multi-threaded session.

    Raises:
        BundleInvalid: bundle.json or a graph can't be read.
        BundleMismatch: a file, the graph's signature or a golden photo does not match.
        DeviceUnavailable: ONNX Runtime can't use the device.
    """
    bundle = bundles.load(folder)
    bundles.verify_files(bundle)
    notes: list[str] = []
    *preferred, fallback = candidates(bundle, device, precision)
    for candidate in preferred:
        try:
            model = _open(bundle, device, candidate, notes, cores)
        except BundleMismatch as err:
            notes.append(f"{candidate} is skipped: {err}")
            continue
        if not saturates_int8() or (speedup := _speedup(model)) >= MIN_INT8_SPEEDUP:
            return model
        notes.append(
            f"{candidate} is skipped: on this processor it is {speedup:.2f} times as fast as "
            f"fp32, and {MIN_INT8_SPEEDUP} is the minimum at which it is used."
        )
        del model
    return _open(bundle, device, fallback, notes, cores)


def _speedup(model: Model) -> float:
    """Return the model's single-threaded speed relative to fp32, the median of a few timed runs."""
    reference = Session(model.bundle.model_path("fp32"), "cpu", "fp32")
    image = np.full((1, *model.manifest.input.shape), 127, np.uint8)
    speedups: list[float] = []
    while not _is_settled(speedups):
        speedups.append(_seconds(reference, image) / _seconds(model.session, image))
    return float(np.median(speedups))


def _is_settled(speedups: list[float]) -> bool:
    """Return whether the remaining runs can no longer move the median across the threshold."""
    fast = sum(speedup >= MIN_INT8_SPEEDUP for speedup in speedups)
    return max(fast, len(speedups) - fast) > _MAX_TIMED_RUNS // 2


def _seconds(session: Session, image: NDArray[np.uint8]) -> float:
    began = time.perf_counter()
    session.unchecked_outputs_of(["probabilities"], image)  # a model may divide by its contrast, 0
    return time.perf_counter() - began


def candidates(bundle: Bundle, device: Device, precision: Precision | None) -> list[Precision]:
    """Return the precisions to try, best first.

    Raises:
        BundleMismatch: the bundle has no graph of the requested precision.
    """
    if precision is None:
        return ["int8", "fp32"] if _can_serve_int8(bundle, device) else ["fp32"]
    if precision not in bundle.manifest.precisions:
        raise BundleMismatch(
            f"{bundle.folder} has no {precision} graph; it has "
            f"{' and '.join(bundle.manifest.precisions)}. Request one of these."
        )
    return [precision]


def _can_serve_int8(bundle: Bundle, device: Device) -> bool:
    return device == "cpu" and "int8" in bundle.manifest.precisions


def _open(
    bundle: Bundle, device: Device, precision: Precision, notes: list[str], cores: int
) -> Model:
    model = f"Model {bundle.manifest.name!r} version {bundle.manifest.version}"
    session = Session(bundle.model_path(precision), device, precision, cores, model)
    check_signature(session, bundle)
    require_golden(run_golden(session, bundle, all_cores=True), session)
    began = time.perf_counter()
    require_golden(run_golden(session, bundle), session)  # single-threaded, and warm, as under load
    service_s = (time.perf_counter() - began) / len(bundle.manifest.golden.photos)
    batches = _batches(session, bundle) if device == "cuda" else None
    return Model(bundle, session, tuple(notes), service_s, batches)


def _batches(session: Session, bundle: Bundle) -> Batches:
    names = _output_names(bundle, session)
    batches = Batches(partial(session.unchecked_outputs_of, names))
    batches.warm(np.zeros(bundle.manifest.input.shape, np.uint8))
    return batches
