"""The way of one photo: bytes -> vision.decode -> vision.resize -> session -> predictions.

`classify` is that way, top to bottom; `submit` puts it on the engine's threads.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.runtime.engine import Engine
from app.runtime.model import Model

Decision = Literal["accepted", "unsure", "unknown"]


@dataclass(frozen=True)
class Query:
    """How much of the probabilities is wanted."""

    top_k: int = 5
    min_probability: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """One label and its probability."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class Stages:
    """Seconds that each stage of one photo's way took."""

    queue_s: float
    decode_s: float
    resize_s: float
    run_s: float


@dataclass(frozen=True, eq=False)
class Classified:
    """What is known of one photo."""

    model: str
    version: int
    probabilities: NDArray[np.float32]
    """(K,), all of them."""
    predictions: tuple[Prediction, ...]
    """Most probable first."""
    decision: Decision | None
    """None where the bundle has no rule for it."""
    format: str
    width: int
    height: int
    """As displayed, in pixels."""
    stages: Stages


def classify(
    data: bytes, model: Model, query: Query, limits: vision.Limits, queue_s: float = 0.0
) -> Classified:
    """Classify one encoded photo, on the thread that calls.

    Raises:
        InputError: the photo can't be used; the subclass says why.
    """
    began = time.perf_counter()
    picture = vision.decode(data, limits)
    decoded = time.perf_counter()
    pixels = vision.resize(picture.canvas, model.manifest.input)
    resized = time.perf_counter()
    probabilities = model.run(pixels)
    ran = time.perf_counter()
    return Classified(
        model=model.name,
        version=model.version,
        probabilities=probabilities,
        predictions=top(probabilities, model, query),
        decision=None,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        stages=Stages(queue_s, decoded - began, resized - decoded, ran - resized),
    )


def top(probabilities: NDArray[np.float32], model: Model, query: Query) -> tuple[Prediction, ...]:
    """The most probable labels of one photo, from its probabilities (K,); ties by index."""
    order = np.argsort(-probabilities, kind="stable")[: query.top_k]
    labels = model.manifest.labels
    return tuple(
        Prediction(labels[index].name, index, probability)
        for index, probability in zip(order.tolist(), probabilities[order].tolist(), strict=True)
        if probability >= query.min_probability
    )


class Classifier:
    """Puts photos on an engine's threads."""

    def __init__(self, engine: Engine, limits: vision.Limits) -> None:
        self.engine = engine
        self.limits = limits

    def submit(
        self, photos: Sequence[bytes], model: Model, query: Query
    ) -> Sequence[Future[Classified]]:
        """Queue all of `photos`, or none; a photo that can't be used fails its own future.

        Raises:
            QueueFull: they don't fit.
        """
        return self.engine.submit(
            *(partial(classify, photo, model, query, self.limits) for photo in photos)
        )
