"""Preparation of a photo for inspection: decoded and resized as for classification, and timed."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.runtime.classifier import Stages, decode, decode_crops
from app.runtime.engine import Turn
from app.runtime.loaded_model import Model


@dataclass(frozen=True, eq=False)
class PreparedPhoto:
    """A photo as a model reads it."""

    picture: vision.Picture
    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    turn: Turn
    """Its turn on a thread of the engine."""
    decode_s: float
    resize_s: float
    began: float
    """time.perf_counter() at the start of decoding."""

    @property
    def canvas(self) -> NDArray[np.uint8]:
        """The canvas (480, 480, 3) RGB, made on first use by the thread that uses it."""
        return self.picture.canvas

    def stages(self) -> Stages:
        """Return the duration of each stage; the stage `run` is everything after the resize."""
        run_s = time.perf_counter() - self.began - self.decode_s - self.resize_s
        return Stages(self.turn.queue_s, self.decode_s, self.resize_s, run_s)


def prepare_photo(
    photo: bytes | PreparedPhoto, model: Model, limits: vision.Limits, turn: Turn
) -> PreparedPhoto:
    """Decode and resize one photo, unless that is done.

    Raises:
        InputError: the photo can't be used; the subclass names the reason.
        CapacityError: the result is too late, or its client has left.
    """
    if isinstance(photo, PreparedPhoto):
        return photo
    began = time.perf_counter()
    picture = decode(photo, limits, turn, vision.view_of(model.manifest.input))
    return _prepare(picture, model, turn, began)


def prepare_crops(
    photo: bytes,
    model: Model,
    crops: Sequence[vision.Crop],
    limits: vision.Limits,
    turn: Turn,
) -> Iterator[PreparedPhoto]:
    """Decode a photo once, and yield its crops, resized.

    Raises:
        InputError: the photo can't be used, or a crop reaches beyond it.
        CapacityError: the result is too late, or its client has left.
    """
    began = time.perf_counter()
    for number, picture in enumerate(decode_crops(photo, limits, turn, model, crops), 1):
        yield _prepare(picture, model, turn, began)
        began = time.perf_counter()
        if number < len(crops):
            turn.check("decode")


def _prepare(picture: vision.Picture, model: Model, turn: Turn, began: float) -> PreparedPhoto:
    decoded = time.perf_counter()
    turn.check("resize")
    pixels = vision.resize(picture, model.manifest.input)
    resized = time.perf_counter()
    turn.check("run")
    return PreparedPhoto(
        picture=picture,
        pixels=pixels,
        turn=turn,
        decode_s=decoded - began,
        resize_s=resized - decoded,
        began=began,
    )
