"""The way of one photo: bytes -> vision.decode -> vision.resize -> session -> predictions.

`classify` is that way, top to bottom; `submit` puts it on the engine's threads.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.bundle import UnknownRule
from app.runtime.engine import Engine
from app.runtime.loaded_model import Model

Photo = bytes | NDArray[np.uint8]
"""An encoded image; or uint8 RGB that needs no decoding: a canvas (480, 480, 3), or what the model
reads (S, S, 3)."""

Decision = Literal["accepted", "unsure", "unknown"]

SURE_FROM = 2 / 3
"""Top-1 probability that an accepted answer has at least. Between two classes that is twice as
likely as the other; calibrated, an answer there is right two times in three."""


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
    familiarity: float | None
    """None where the bundle's rule doesn't ask for it."""
    decision: Decision | None
    """See `decide`."""
    format: str
    """Of the file; `array` where there was none."""
    width: int
    height: int
    """As displayed, in pixels."""
    stages: Stages


def classify(
    photo: Photo,
    model: Model,
    query: Query,
    limits: vision.Limits,
    queue_s: float = 0.0,
    is_alone: Callable[[], bool] = lambda: False,
) -> Classified:
    """Classify one photo, on the thread that calls; the run uses all cores if it `is_alone` then.

    Raises:
        InputError: the photo can't be used; the subclass says why.
    """
    began = time.perf_counter()
    picture = vision.decode(photo, limits) if isinstance(photo, bytes) else photo
    decoded = time.perf_counter()
    pixels = _resized(picture, model)
    resized = time.perf_counter()
    probabilities, familiarity = model.run(pixels, alone=is_alone())
    ran = time.perf_counter()
    format, width, height = _facts(picture)
    return Classified(
        model=model.name,
        version=model.version,
        probabilities=probabilities,
        predictions=top(probabilities, model, query),
        familiarity=familiarity,
        decision=decide(probabilities, familiarity, model.manifest.unknown),
        format=format,
        width=width,
        height=height,
        stages=Stages(queue_s, decoded - began, resized - decoded, ran - resized),
    )


def _resized(picture: vision.Picture | NDArray[np.uint8], model: Model) -> NDArray[np.uint8]:
    spec = model.manifest.input
    if isinstance(picture, np.ndarray) and len(picture) == spec.size != vision.CANVAS:
        return picture  # it came as the model reads it
    return vision.resize(picture, spec)


def _facts(picture: vision.Picture | NDArray[np.uint8]) -> tuple[str, int, int]:
    """Format, width and height."""
    if isinstance(picture, np.ndarray):
        height, width, _ = picture.shape
        return "array", width, height
    return picture.format, picture.width, picture.height


def top(probabilities: NDArray[np.float32], model: Model, query: Query) -> tuple[Prediction, ...]:
    """The most probable labels of one photo, from its probabilities (K,); ties by index."""
    order = np.argsort(-probabilities, kind="stable")[: query.top_k]
    labels = model.manifest.labels
    return tuple(
        Prediction(labels[index].name, index, probability)
        for index, probability in zip(order.tolist(), probabilities[order].tolist(), strict=True)
        if probability >= query.min_probability
    )


def decide(
    probabilities: NDArray[np.float32], familiarity: float | None, rule: UnknownRule | None
) -> Decision | None:
    """What to make of one answer.

    unknown   the photo is like none of the training's: its score is under the bundle's threshold,
              which 95 % of known photos reach. The labels mean nothing then.
    unsure    it looks familiar, but no label has a probability of two thirds.
    accepted  neither. It may still be wrong, as often as its probability says.
    None      the bundle has no rule: it was trained without one.
    """
    if rule is None:
        return None
    confidence = float(probabilities.max())
    score = confidence if rule.score == "max_probability" else familiarity
    if score is None or not score >= rule.threshold:  # a NaN reaches nothing
        return "unknown"
    return "unsure" if confidence < SURE_FROM else "accepted"


class Classifier:
    """Puts photos on an engine's threads."""

    def __init__(self, engine: Engine, limits: vision.Limits) -> None:
        self.engine = engine
        self.limits = limits

    def submit(
        self, photos: Sequence[Photo], model: Model, query: Query
    ) -> Sequence[Future[Classified]]:
        """Queue all of `photos`, or none; a photo that can't be used fails its own future.

        Raises:
            QueueFull: they don't fit.
        """
        engine = self.engine
        return engine.submit(
            *(
                partial(
                    classify, photo, model, query, self.limits, is_alone=lambda: engine.is_alone
                )
                for photo in photos
            )
        )
