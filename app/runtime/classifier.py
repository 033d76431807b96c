"""The classification of one photo, and the jobs of the engine that classify photos.

bytes -> vision.decode -> vision.resize -> Model.run -> probabilities -> predictions, decision
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.bundle import Task
from app.runtime.accepted_labels import accepted_labels
from app.runtime.decision import Decision, UnknownScore, decide, unknown_score
from app.runtime.engine import COST_S, NO_ENGINE, Engine, Turn
from app.runtime.loaded_model import Model
from app.vision.crop import Pixels

Photo = bytes | NDArray[np.uint8]
"""An encoded image, or decoded uint8 RGB: a canvas (480, 480, 3) or the model's input (H, W, 3)."""


DEFAULT_TOP_K = 5


@dataclass(frozen=True)
class Query:
    """The part of the result that a request selects, and its threshold."""

    top_k: int = DEFAULT_TOP_K
    min_probability: float = 0.0
    unknown_threshold: float | None = None
    """Replaces the threshold of the bundle's `unknown` rule; None keeps it."""
    crop: vision.Crop | None = None
    """The part of the photo that is classified; None: the whole."""
    keep_pixels: bool = False
    """Whether the result has the pixels that the model read."""
    embedding: bool = False
    """Whether the result has the embedding; only of a model that has one."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One label and its probability."""

    label: str
    index: int
    probability: float
    accepted: bool | None = None
    """Whether the probability reaches the label's threshold; None in a single-label model."""


@dataclass(frozen=True)
class Stages:
    """The seconds that one photo spent in each stage."""

    queue_s: float
    decode_s: float
    resize_s: float
    run_s: float


@dataclass(frozen=True, eq=False)
class Classified:
    """The result of classifying one photo."""

    model: str
    version: int
    task: Task
    probabilities: NDArray[np.float32]
    """(K,), of all labels."""
    predictions: tuple[Prediction, ...]
    """Most probable first."""
    familiarity: float | None
    """None if the bundle's out-of-distribution threshold does not use it."""
    unknown: UnknownScore | None
    """None if the bundle has no `unknown` rule."""
    decision: Decision | None
    """See app.runtime.decision."""
    format: str
    """The file's format; `array` if the photo came decoded."""
    width: int
    height: int
    """As displayed, in pixels."""
    stages: Stages
    crop: Pixels | None = None
    """The part that was classified, in pixels as displayed; None: the whole."""
    all_cores: bool = False
    """Whether the model ran on all cores."""
    pixels: NDArray[np.uint8] | None = None
    """What the model read, (H, W, 3) uint8 RGB, if the query keeps it."""
    embedding: NDArray[np.float32] | None = None
    """(D,), finite if the query asks for it, else for drift; None: the run did not make it."""


def classify(
    photo: Photo,
    model: Model,
    query: Query,
    limits: vision.Limits,
    turn: Turn = NO_ENGINE,
) -> Classified:
    """Classify one photo on the calling thread.

    Args:
        photo: an encoded or a decoded photo.
        model: the model that classifies it.
        query: which predictions to return.
        limits: the largest photo that is decoded.
        turn: the photo's turn on a thread of the engine. If it is alone just before the run, the
            run uses all cores.

    Raises:
        InputError: the photo can't be used; the subclass says why.
        ModelOutputInvalid: the model returned NaN or infinity.
        CapacityError: the result is too late, or its client has left.
    """
    began = time.perf_counter()
    view = vision.view_of(model.manifest.input, query.crop)
    picture = decode(photo, limits, turn, view) if isinstance(photo, bytes) else photo
    decode_s = time.perf_counter() - began
    return classify_decoded(picture, model, query, turn, decode_s)


def classify_decoded(
    picture: vision.Picture | NDArray[np.uint8],
    model: Model,
    query: Query,
    turn: Turn,
    decode_s: float,
) -> Classified:
    """Classify a photo that took `decode_s` to decode; see `classify`."""
    decoded = time.perf_counter()
    turn.check("resize")
    pixels = _resize(picture, model)
    resized = time.perf_counter()
    turn.check("run")
    all_cores = turn.is_alone()
    run = model.run_with_embedding if query.embedding else model.run
    probabilities, familiarity, embedding = run(pixels, all_cores=all_cores)
    ran = time.perf_counter()
    format, width, height = _format_and_size(picture)
    unknown = unknown_score(
        probabilities, familiarity, model.manifest.unknown, query.unknown_threshold
    )
    return Classified(
        model=model.name,
        version=model.version,
        task=model.manifest.task,
        probabilities=probabilities,
        predictions=top(probabilities, model, query),
        familiarity=familiarity,
        unknown=unknown,
        decision=decide(probabilities, unknown, model.manifest),
        format=format,
        width=width,
        height=height,
        stages=Stages(turn.queue_s, decode_s, resized - decoded, ran - resized),
        crop=picture.crop if isinstance(picture, vision.Picture) else None,
        all_cores=all_cores,
        pixels=pixels if query.keep_pixels else None,
        embedding=embedding,
    )


def decode(photo: bytes, limits: vision.Limits, turn: Turn, view: vision.View) -> vision.Picture:
    """Decode the part `view` of a photo once its turn has come for the work that this takes.

    Raises:
        InputError: the photo can't be used; the subclass says why.
    """
    if turn is NO_ENGINE:  # nothing else bounds the memory of threads that decode
        return vision.decode(photo, limits, view)
    opened = vision.read_header(photo, limits, (view,))
    turn.begin(opened.work)
    return opened.decode()


def decode_crops(
    photo: bytes,
    limits: vision.Limits,
    turn: Turn,
    model: Model,
    crops: Sequence[vision.Crop],
) -> Iterator[vision.Picture]:
    """Decode a photo once, as `decode` does, and yield its crops; use each before the next.

    Raises:
        InputError: the photo can't be used, or a crop reaches beyond it.
    """
    views = [vision.view_of(model.manifest.input, crop) for crop in crops]
    opened = vision.read_header(photo, limits, views)
    runs_cost = (len(crops) - 1) * model.service_s / COST_S
    turn.begin(replace(opened.work, cost=opened.work.cost + runs_cost))
    return opened.views()


def _resize(picture: vision.Picture | NDArray[np.uint8], model: Model) -> NDArray[np.uint8]:
    spec = model.manifest.input
    if isinstance(picture, np.ndarray) and picture.shape == spec.shape != vision.CANVAS_SHAPE:
        return picture  # it already has the size of the model's input
    return vision.resize(picture, spec)


def _format_and_size(picture: vision.Picture | NDArray[np.uint8]) -> tuple[str, int, int]:
    if isinstance(picture, np.ndarray):
        height, width, _ = picture.shape
        return "array", width, height
    return picture.format, picture.width, picture.height


def top(probabilities: NDArray[np.float32], model: Model, query: Query) -> tuple[Prediction, ...]:
    """Return the most probable labels of one photo from its probabilities (K,); ties by index."""
    order = np.argsort(-probabilities, kind="stable")[: query.top_k]
    labels = model.manifest.labels
    if model.manifest.task == "multi_label":
        accepted = accepted_labels(probabilities, model.manifest)
        return tuple(
            Prediction(labels[i].name, i, float(probabilities[i]), bool(accepted[i]))
            for i in order.tolist()
            if probabilities[i] >= query.min_probability
        )
    return tuple(
        Prediction(labels[index].name, index, probability)
        for index, probability in zip(order.tolist(), probabilities[order].tolist(), strict=True)
        if probability >= query.min_probability
    )


def default_top_k(model: Model) -> int:
    """Return the number of predictions of a request that states none."""
    if model.manifest.task == "multi_label":
        return len(model.manifest.labels)
    return DEFAULT_TOP_K


class Classifier:
    """Makes jobs of photos, and has the engine that runs them."""

    def __init__(self, engine: Engine, limits: vision.Limits) -> None:
        self.engine = engine
        self.limits = limits

    def jobs(
        self, photos: Sequence[Photo], model: Model, query: Query
    ) -> Sequence[Callable[[Turn], Classified]]:
        """Return a job of the engine for each of `photos`; one that can't be used fails alone."""
        return [partial(classify, photo, model, query, self.limits) for photo in photos]
