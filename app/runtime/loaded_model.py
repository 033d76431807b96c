"""A model that may serve: a bundle, verified, and the session of the precision chosen for here.

folder -> bundle.json -> sha256 -> for each precision: session -> signature -> golden photos;
the first that passes serves. int8 comes first on a CPU. Where that has no instructions for it, it
is timed against fp32; where it gains too little, or misses its golden photos, fp32 serves, and
`notes` says so. CUDA never serves int8.
"""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app import bundle as bundles
from app.bundle import Bundle, Manifest, Precision
from app.errors import BundleMismatch
from app.runtime.batching import Batches
from app.runtime.ort import saturates_int8
from app.runtime.session import Device, Session
from app.runtime.verify import check_signature, require_golden, run_golden

WORTH_IT = 1.1
"""So many times as fast as fp32 int8 must be, to serve where it has to be timed: what it gains must
be worth a little accuracy, and more than chance."""
_TURNS = 7
"""At most, until most of them agree."""


@dataclass(frozen=True)
class Model:
    """A verified bundle and its session; what a request holds on to until it is answered."""

    bundle: Bundle
    session: Session
    notes: tuple[str, ...] = ()
    """What an operator should know: a precision that was skipped, and why."""
    service_s: float = 0.02
    """Seconds from bytes to probabilities, as measured on the golden photos."""
    batches: Batches | None = None
    """Where photos run together: on a GPU."""

    @property
    def manifest(self) -> Manifest:
        """What bundle.json says."""
        return self.bundle.manifest

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def version(self) -> int:
        """The model's version."""
        return self.manifest.version

    def run(
        self, image: NDArray[np.uint8], *, alone: bool = False
    ) -> tuple[NDArray[np.float32], float | None]:
        """Probabilities (K,) float32 of one image (S, S, 3) uint8 RGB, and its familiarity.

        Both come from one run; familiarity is None where the bundle's rule doesn't ask for it.
        A run that is `alone` may use all cores.
        """
        if self.batches is not None:
            rows = self.batches.run(image)
        else:
            outputs = self.session.outputs_of(_names(self.bundle), image[np.newaxis], alone=alone)
            rows = [output[0] for output in outputs]
        return rows[0], float(rows[1]) if len(rows) > 1 else None


def _names(bundle: Bundle) -> list[str]:
    """The outputs that an answer needs."""
    rule = bundle.manifest.unknown
    if rule is None or rule.score != "familiarity":
        return ["probabilities"]
    return ["probabilities", "familiarity"]


def load_model(
    folder: Path, device: Device, precision: Precision | None = None, cores: int = 1
) -> Model:
    """Load and verify the bundle in `folder`.

    Args:
        folder: the bundle.
        device: where it must run.
        precision: the one to serve; None chooses.
        cores: how many a run that is alone may use.

    Raises:
        BundleInvalid: bundle.json or a graph can't be read.
        BundleMismatch: a file, the graph's signature or a golden photo is off.
        DeviceUnavailable: ONNX Runtime can't have the device.
    """
    bundle = bundles.load(folder)
    bundles.verify_files(bundle)
    notes: list[str] = []
    *preferred, last = candidates(bundle, device, precision)
    for choice in preferred:
        try:
            model = _open(bundle, device, choice, notes, cores)
        except BundleMismatch as err:
            notes.append(f"{choice} is skipped: {err}")
            continue
        if not saturates_int8() or (speedup := _speedup(model)) >= WORTH_IT:
            return model
        notes.append(
            f"{choice} is skipped: on this processor it is {speedup:.2f} times as fast as "
            f"fp32, and it serves from {WORTH_IT} on."
        )
        del model
    return _open(bundle, device, last, notes, cores)


def _speedup(model: Model) -> float:
    """How many times as fast as fp32 the model runs, one thread each; the median of a few turns."""
    reference = Session(model.bundle.model_path("fp32"), "cpu", "fp32")
    size = model.manifest.input.size
    image = np.full((1, size, size, 3), 127, np.uint8)
    turns: list[float] = []
    while not _is_settled(turns):
        turns.append(_seconds(reference, image) / _seconds(model.session, image))
    return float(np.median(turns))


def _is_settled(turns: list[float]) -> bool:
    """Whether those that are left could not move the median across the threshold."""
    passed = sum(turn >= WORTH_IT for turn in turns)
    return max(passed, len(turns) - passed) > _TURNS // 2


def _seconds(session: Session, image: NDArray[np.uint8]) -> float:
    began = time.perf_counter()
    session.run(image)
    return time.perf_counter() - began


def candidates(bundle: Bundle, device: Device, precision: Precision | None) -> list[Precision]:
    """The precisions to try, best first.

    Raises:
        BundleMismatch: the bundle has no graph of the precision asked for.
    """
    if precision is None:
        return ["int8", "fp32"] if _may_int8(bundle, device) else ["fp32"]
    if precision not in bundle.manifest.precisions:
        raise BundleMismatch(
            f"{bundle.folder} has no {precision} graph; it has "
            f"{' and '.join(bundle.manifest.precisions)}. Ask for one of these."
        )
    return [precision]


def _may_int8(bundle: Bundle, device: Device) -> bool:
    return device == "cpu" and "int8" in bundle.manifest.precisions


def _open(
    bundle: Bundle, device: Device, precision: Precision, notes: list[str], cores: int
) -> Model:
    session = Session(bundle.model_path(precision), device, precision, cores)
    check_signature(session, bundle)
    require_golden(run_golden(session, bundle, alone=True), session)
    began = time.perf_counter()
    require_golden(run_golden(session, bundle), session)  # side by side with others, and warm
    service_s = (time.perf_counter() - began) / len(bundle.manifest.golden.photos)
    batches = _batches(session, bundle) if device == "cuda" else None
    return Model(bundle, session, tuple(notes), service_s, batches)


def _batches(session: Session, bundle: Bundle) -> Batches:
    size = bundle.manifest.input.size
    batches = Batches(partial(session.outputs_of, _names(bundle)))
    batches.warm(np.zeros((size, size, 3), np.uint8))
    return batches
