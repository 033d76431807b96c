"""One version's predictions for photos, each by a model that has not learnt from the photo.

photos that it didn't learn from -> its graph
photos that it learnt from       -> cross_fit, where the version can be fitted again
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.bundle import Bundle
from app.bundle.photo_record import photo_record
from app.runtime.session import Session
from training.comparison import cross_fit
from training.comparison.photos import ComparedPhotos
from training.contracts import Integers
from training.data.groups import whole_groups
from training.parallel import run_graph

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Learnt:
    """The photos that a version learnt from, among N."""

    photos: Mask
    """(N,) of its train and val."""
    touched: Mask
    """(N,) photos that it learnt from, or that look the same as one."""
    by_backbone: Mask
    """(N,) photos that the network below the last layer learnt from, or that look the same."""
    missing: int
    """Photos of its record that aren't among them."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """A version's predictions for N photos."""

    labels: tuple[str, ...]
    probabilities: NDArray[np.float64]
    """(N, K); undefined for photos that aren't known."""
    is_known: Mask
    """(N,) whether there is a prediction by a model that didn't learn from the photo."""
    obstacle: str
    """Why photos that it learnt from have none; empty: they have one."""


def learnt(bundle: Bundle, photos: ComparedPhotos) -> Learnt:
    """Return what a version learnt from, by the record in its bundle."""
    record = photo_record(bundle) or {}
    parts = [record.get(digits) for digits in photos.digits]
    own = np.array([part in ("train", "val") for part in parts], bool)
    backbone = np.array([part == "backbone" for part in parts], bool)
    if bundle.manifest.training.recipe != "head":
        backbone |= own
    total = sum(part in ("train", "val") for part in record.values())
    return Learnt(
        photos=own,
        touched=whole_groups(own | backbone, photos.groups),
        by_backbone=whole_groups(backbone, photos.groups),
        missing=total - int(own.sum()),
    )


def nothing_learnt(photos: ComparedPhotos) -> Learnt:
    """Return what a version learnt from that learnt from none of the photos."""
    none = np.zeros(len(photos.photos), bool)
    return Learnt(none, none, none, 0)


def predict(bundle: Bundle, photos: ComparedPhotos, of: Learnt, rows: Integers) -> Predictions:
    """Return the predictions of a version for the photos `rows`.

    Photos that it learnt from are predicted only if all photos of its training are in `rows`.
    """
    manifest = bundle.manifest
    session = Session(bundle.model_path("fp32"), "cpu", "fp32")
    names = ["probabilities", "embedding"]
    names = [name for name in names if name in session.outputs]
    seen = photos.pixels[manifest.input]
    outputs = run_graph(
        session, names, seen.pixels, seen.rows[rows].tolist(), f"version {manifest.version}"
    )
    probabilities = np.zeros((len(photos.photos), len(manifest.labels)))
    probabilities[rows] = outputs[0]
    is_known = np.zeros(len(photos.photos), bool)
    is_known[rows] = ~of.touched[rows]
    obstacle = ""
    if of.touched[rows].any():
        embeddings = outputs[1] if len(outputs) > 1 else None
        ran = cross_fit.Ran(rows, outputs[0], embeddings)
        fitted = cross_fit.out_of_fold(bundle, photos, of.photos, of.missing, ran)
        obstacle = fitted.obstacle
        if fitted.probabilities is not None and fitted.left_out is not None:
            usable = rows[of.touched[rows] & ~of.by_backbone[rows] & ~fitted.left_out]
            probabilities[usable] = fitted.probabilities[np.isin(rows, usable)]
            is_known[usable] = True
    labels = tuple(label.name for label in manifest.labels)
    return Predictions(labels, probabilities, is_known, obstacle)
