"""The result of a comparison, from the predictions of both versions.

photos that both predict -> figures -> verdict                     figures, paired, rule
                         -> labels that the new version alone has  labels
                         -> disagreements, as pictures             disagreements
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.bundle import Bundle, Manifest
from app.jobs.comparison import Comparison, Disagreement, LabelShares, Sources, VersionFigures
from app.runtime.accepted_labels import accepted_labels
from training.comparison import figures, labels, rule
from training.comparison.disagreements import Predicted, disagreements
from training.comparison.figures import Figures, Sides
from training.comparison.photos import ComparedPhotos
from training.comparison.predictions import Predictions
from training.contracts import Integers

Mask = NDArray[np.bool_]
SEED = 0
"""Of the resamples."""


@dataclass(frozen=True, eq=False)
class Side:
    """A version with its predictions for all photos."""

    manifest: Manifest
    predictions: Predictions
    accepted: Mask
    """(N, K)."""


def side_of(bundle: Bundle, predicted: Predictions) -> Side:
    """Return a version with its predictions and the labels that they give."""
    manifest, probabilities = bundle.manifest, predicted.probabilities
    if manifest.task == "multi_label":
        return Side(manifest, predicted, accepted_labels(probabilities, manifest))
    accepted = np.zeros(probabilities.shape, bool)
    accepted[np.arange(len(accepted)), probabilities.argmax(axis=1)] = True
    return Side(manifest, predicted, accepted)


def result_of(
    read: ComparedPhotos, serving: Side, candidate: Side, is_new: Mask, margin: float
) -> Comparison:
    """Return the comparison on the photos that both versions predict.

    Args:
        read: the photos.
        serving: the version that serves.
        candidate: the new version.
        is_new: (N,) the photos that neither version learnt from.
        margin: the loss of accuracy that counts as not worse.
    """
    both = serving.predictions, candidate.predictions
    known = np.flatnonzero(both[0].is_known & both[1].is_known)
    rows = known[np.unique(read.groups[known], return_index=True)[1]]
    shared = [label for label in both[0].labels if label in both[1].labels]
    has_shared = read.matrix_of(shared)[rows].any(axis=1)
    is_multi_label = read.task == "multi_label"
    main = rows if is_multi_label else rows[has_shared]
    versions = serving.manifest.version, candidate.manifest.version
    if not len(main):
        return _without_photos(serving, candidate, margin)
    sides = _sides(read, main, shared, serving, candidate)
    found = (figures.of_labels if is_multi_label else figures.of_classes)(sides, SEED)
    judged = rule.judge(found, shared, versions, margin)
    is_test = is_new[main]
    return Comparison(
        verdict=judged.verdict,
        reason=judged.reason,
        rule=rule.sentence(margin),
        photos=found.photos,
        sources=Sources(test=int(is_test.sum()), cross_fitted=int((~is_test).sum())),
        measure="f1_micro" if is_multi_label else "accuracy",
        serving=_version(versions[0], found, 0),
        candidate=_version(versions[1], found, 1),
        difference=found.difference,
        interval=found.interval,
        margin=margin,
        p_value=found.p_value,
        only_serving_right=found.losses,
        only_candidate_right=found.gains,
        labels=[
            LabelShares(
                label=label,
                photos=each.photos,
                serving=each.serving / each.photos if each.photos else None,
                candidate=each.candidate / each.photos if each.photos else None,
                is_lost=is_lost,
            )
            for label, each, is_lost in zip(shared, found.labels, judged.lost, strict=True)
        ],
        new_labels=labels.new_labels(
            read, rows, _predicted(serving, rows), _predicted(candidate, rows)
        ),
        removed_labels=[label for label in both[0].labels if label not in both[1].labels],
        disagreements=_disagreements(read, rows, serving, candidate),
    )


def _without_photos(serving: Side, candidate: Side, margin: float) -> Comparison:
    obstacles = [
        each.predictions.obstacle for each in (serving, candidate) if each.predictions.obstacle
    ]
    reason = "No photo is new to both versions" + (f": {obstacles[0]}." if obstacles else ".")
    versions = [VersionFigures(version=each.manifest.version) for each in (serving, candidate)]
    return Comparison(
        verdict="not_comparable",
        reason=reason,
        rule=rule.sentence(margin),
        margin=margin,
        serving=versions[0],
        candidate=versions[1],
    )


def _sides(
    read: ComparedPhotos, rows: Integers, shared: list[str], serving: Side, candidate: Side
) -> Sides:
    """Return both versions on `rows`, with the columns of the shared labels first."""
    ordered = []
    for side in (serving, candidate):
        own = side.predictions.labels
        columns = [own.index(label) for label in shared]
        columns += [index for index, label in enumerate(own) if label not in shared]
        ordered.append(
            (side.predictions.probabilities[np.ix_(rows, np.array(columns))], np.array(columns))
        )
    count = len(shared)
    return Sides(
        truth=read.matrix_of(shared)[rows],
        serving=ordered[0][0],
        candidate=ordered[1][0],
        serving_accepted=serving.accepted[np.ix_(rows, ordered[0][1][:count])],
        candidate_accepted=candidate.accepted[np.ix_(rows, ordered[1][1][:count])],
    )


def _version(version: int, found: Figures, place: int) -> VersionFigures:
    return VersionFigures(
        version=version,
        accuracy=found.accuracy[place],
        ece=found.ece[place],
        brier=found.brier[place],
    )


def _predicted(side: Side, rows: Integers) -> Predicted:
    return Predicted(
        side.accepted[rows], side.predictions.probabilities[rows], side.predictions.labels
    )


def _disagreements(
    read: ComparedPhotos, rows: Integers, serving: Side, candidate: Side
) -> list[Disagreement]:
    has = read.label_matrix[rows]
    truth = [tuple(read.labels[index] for index in np.flatnonzero(each)) for each in has]
    return disagreements(
        truth,
        [read.photos[row].file.name for row in rows.tolist()],
        _predicted(serving, rows),
        _predicted(candidate, rows),
        lambda index: read.picture(int(rows[index]), candidate.manifest.input),
    )
