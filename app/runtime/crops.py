"""The classification of several parts of one photo, which is decoded once.

bytes -> vision: the photo, decoded -> for each crop: resize -> Model.run -> Classified
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from app import vision
from app.runtime.classifier import (
    Classified,
    Query,
    Stages,
    classify_decoded,
    decode_crops,
)
from app.runtime.engine import Turn
from app.runtime.loaded_model import Model


@dataclass(frozen=True, eq=False)
class ClassifiedCrops:
    """The results of the crops of one photo, in their order; it counts as one photo."""

    results: Sequence[Classified]
    """At least one."""

    @property
    def model(self) -> str:
        """The model's name."""
        return self.results[0].model

    @property
    def version(self) -> int:
        """The model's version."""
        return self.results[0].version

    @property
    def stages(self) -> Stages:
        """The time of each stage, for all crops together."""
        return total([result.stages for result in self.results])


def total(stages: Sequence[Stages]) -> Stages:
    """Return the times of the parts of one photo, which has waited once."""
    return Stages(
        queue_s=stages[0].queue_s,
        decode_s=sum(each.decode_s for each in stages),
        resize_s=sum(each.resize_s for each in stages),
        run_s=sum(each.run_s for each in stages),
    )


def classify_crops(
    photo: bytes,
    model: Model,
    query: Query,
    crops: Sequence[vision.Crop],
    limits: vision.Limits,
    turn: Turn,
) -> ClassifiedCrops:
    """Classify the crops of one photo on the calling thread.

    Args:
        photo: the file.
        model: the model that classifies them.
        query: which predictions to return.
        crops: at least one.
        limits: the largest photo that is decoded.
        turn: the photo's turn on a thread of the engine.

    Raises:
        InputError: the photo can't be used, or a crop reaches beyond it.
        ModelOutputInvalid: the model returned NaN or infinity for one.
        CapacityError: the results are too late, or their client has left.
    """
    results = []
    began = time.perf_counter()
    for picture in decode_crops(photo, limits, turn, model, crops):
        decode_s = time.perf_counter() - began
        results.append(classify_decoded(picture, model, query, turn, decode_s))
        began = time.perf_counter()
        if len(results) < len(crops):
            turn.check("decode")
    return ClassifiedCrops(results)
