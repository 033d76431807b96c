"""Preparation of a photo for inspection: decoded and resized as for classification, and timed."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.runtime.classifier import Stages, decode
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


def prepare_photo(photo: bytes, model: Model, limits: vision.Limits, turn: Turn) -> PreparedPhoto:
    """Decode and resize one photo.

    Raises:
        InputError: the photo can't be used; the subclass names the reason.
        CapacityError: the result is too late, or its client has left.
    """
    began = time.perf_counter()
    picture = decode(photo, limits, turn, vision.view_of(model.manifest.input))
    decoded = time.perf_counter()
    turn.check()
    pixels = vision.resize(picture, model.manifest.input)
    resized = time.perf_counter()
    turn.check()
    return PreparedPhoto(
        picture=picture,
        pixels=pixels,
        turn=turn,
        decode_s=decoded - began,
        resize_s=resized - decoded,
        began=began,
    )
