"""A run of the shadowed version on an image that the serving version has seen.

the serving version's result -> `ShadowRun`: its pixels, or the photo where the inputs differ
                             -> `pixels`: the image as the shadowed version reads it
"""

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.errors import HubelError
from app.memory_budget import MemoryBudget
from app.runtime.classifier import Classified, Photo
from app.runtime.engine import COST_S, LARGE_BYTES, LARGE_S
from app.runtime.loaded_model import Model
from app.runtime.trials.comparison import Comparison
from app.vision import CANVAS_SHAPE, Crop, Limits


class Dropped(Exception):
    """The signal that an image isn't run; its text is the reason."""


@dataclass(frozen=True, eq=False)
class ShadowRun:
    """One image for the shadowed version."""

    shadow: Model
    comparison: Comparison
    image: Photo
    """The pixels that the serving version has read, or the photo."""
    is_prepared: bool
    """Whether `image` is what the shadowed version reads."""
    crop: Crop | None
    probabilities: NDArray[np.float32]
    """Of the serving version."""
    serving_run_s: float
    all_cores: bool
    """Whether the serving version ran on all cores."""
    request_id: str
    index: int
    created_at: float = field(default_factory=time.monotonic)

    @property
    def held_bytes(self) -> int:
        """The memory that it holds while it waits."""
        size = self.image.nbytes if isinstance(self.image, np.ndarray) else len(self.image)
        return size + self.probabilities.nbytes

    def pixels(self, memory: MemoryBudget, limits: Limits) -> NDArray[np.uint8]:
        """Return the image as the shadowed version reads it: (H, W, 3) uint8 RGB.

        Raises:
            Dropped: decoding it again would take much time or memory, or pixels are too few.
        """
        spec = self.shadow.manifest.input
        if isinstance(self.image, np.ndarray):
            if self.is_prepared or self.image.shape == spec.shape:
                return self.image
            if self.image.shape != CANVAS_SHAPE:
                raise Dropped("input")
            return vision.resize(self.image, spec)
        opened = vision.read_header(self.image, limits, (vision.view_of(spec, self.crop),))
        work = opened.work
        if work.memory_bytes > LARGE_BYTES or work.cost * COST_S > LARGE_S:
            raise Dropped("large")
        if not memory.try_take(work.memory_bytes):
            raise Dropped("memory")
        try:
            return vision.resize(opened.decode(), spec)
        finally:
            memory.give_back(work.memory_bytes)


def shadow_run_of(
    result: Classified,
    photo: Photo,
    shadow: Model,
    comparison: Comparison,
    crop: Crop | None,
    request_id: str,
    index: int,
) -> ShadowRun:
    """Return the run for the serving version's result on `photo`."""
    image = photo if result.pixels is None else result.pixels
    if isinstance(image, np.ndarray) and image.base is not None:
        image = image.copy()  # a view would keep the whole body of a request in memory
    return ShadowRun(
        shadow=shadow,
        comparison=comparison,
        image=image,
        is_prepared=result.pixels is not None,
        crop=crop,
        probabilities=result.probabilities,
        serving_run_s=result.stages.run_s,
        all_cores=result.all_cores,
        request_id=request_id,
        index=index,
    )


def execute(run: ShadowRun, is_idle: bool, *, memory: MemoryBudget, limits: Limits) -> None:
    """Run the shadowed version on the calling thread, and enter the result into the comparison.

    Args:
        run: the run.
        is_idle: whether the run may use all cores, if the serving version did.
        memory: the memory for decoding.
        limits: the largest photo that is decoded.
    """
    comparison = run.comparison
    if not comparison.cost.allows_more():
        comparison.drop("cost")
        return
    began = time.perf_counter()
    try:
        pixels = run.pixels(memory, limits)
        prepared = time.perf_counter()
        probabilities, *_ = run.shadow.run(pixels, all_cores=run.all_cores and is_idle)
        ran_s = time.perf_counter() - prepared
    except Dropped as reason:
        comparison.drop(str(reason))
    except HubelError as err:
        comparison.fail(err.message)
    except Exception as err:  # an error of the tried version must not end its thread
        comparison.fail(f"{type(err).__name__}: {err}")
    else:
        comparison.add(run.probabilities, probabilities, run.request_id, run.index)
        if is_idle or not run.all_cores:
            comparison.time_runs(run.serving_run_s, ran_s)
    finally:
        comparison.cost.spend(time.perf_counter() - began)
