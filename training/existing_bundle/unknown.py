"""Give a bundle that has none a rule for `unknown`.

    a graph with an embedding -> prototypes from the photos -> the output `familiarity`
                                                            -> a threshold, out of fold
    any other graph           -> a threshold of the highest probability

95 % of the photos reach the threshold, as for trained models.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from app.bundle import MODEL_FILES, Precision, UnknownRule
from app.runtime.session import Session
from training import familiarity
from training.data.split import FOLDS, split_by_groups
from training.importing.labelled_photos import LabelledPhotos
from training.onnx_graph.head import add_familiarity_to
from training.parallel import run_graph

_MAX_EMBEDDING = 4096
"""The longest embedding that prototypes are made of."""

Integers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class NewRule:
    """A new rule, and the familiarity of the photos that it was made of."""

    rule: UnknownRule
    familiarity: NDArray[np.float64] | None
    """(N,), by prototypes made without each photo's fold; None for the highest probability."""


def add_rule(
    photos: LabelledPhotos,
    groups: Integers,
    sessions: Mapping[Precision, Session],
    probabilities: NDArray[np.float32],
    folder: Path,
    seed: int,
) -> NewRule:
    """Make the rule, and add the output `familiarity` to the graphs in `folder` where it needs it.

    Args:
        photos: N known photos.
        groups: (N,) a number for each photo, the same for photos that look the same.
        sessions: the graphs of the bundle.
        probabilities: (N, K) by the fp32 graph.
        folder: holds the graphs.
        seed: fixes folds and prototypes.
    """
    if not all(_has_short_embedding(session) for session in sessions.values()):
        scores = probabilities.max(axis=1)
        threshold = familiarity.threshold(scores)
        return NewRule(_rule("max_probability", threshold, scores), None)
    rows = photos.examples.rows.tolist()
    (embeddings,) = run_graph(sessions["fp32"], ["embedding"], photos.pixels, rows, "embedding")
    folds = split_by_groups(photos.truth, groups, [1.0] * FOLDS, seed)
    scores = familiarity.out_of_fold(embeddings, photos.truth, folds, seed)
    prototypes = familiarity.prototypes(embeddings, photos.truth, seed)
    for precision in sessions:
        model = onnx.load(folder / MODEL_FILES[precision])
        add_familiarity_to(model, prototypes)
        onnx.checker.check_model(model)
        onnx.save(model, folder / MODEL_FILES[precision])
    return NewRule(_rule("familiarity", familiarity.threshold(scores), scores), scores)


def _rule(score: str, threshold: float, scores: NDArray[np.floating]) -> UnknownRule:
    accepts = float((scores >= threshold).mean())
    return UnknownRule.model_validate({"score": score, "threshold": threshold, "accepts": accepts})


def _has_short_embedding(session: Session) -> bool:
    if "embedding" not in session.outputs:
        return False
    length = session.outputs["embedding"][1][1]
    return isinstance(length, int) and length <= _MAX_EMBEDDING
