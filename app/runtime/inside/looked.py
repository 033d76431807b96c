"""The first half of every question about a photo: decoded and resized, as for an answer."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.runtime.classifier import Stages
from app.runtime.model import Model


@dataclass(frozen=True, eq=False)
class Looked:
    """A photo as a model reads it."""

    canvas: NDArray[np.uint8]
    """(480, 480, 3) RGB."""
    pixels: NDArray[np.uint8]
    """(S, S, 3) RGB."""
    format: str
    width: int
    height: int
    """Of the whole photo as displayed, in pixels."""
    queue_s: float
    decode_s: float
    resize_s: float
    began: float

    def stages(self) -> Stages:
        """What each stage took, the run being all since the resize."""
        so_far = time.perf_counter() - self.began - self.decode_s - self.resize_s
        return Stages(self.queue_s, self.decode_s, self.resize_s, so_far)


def look(photo: bytes, model: Model, limits: vision.Limits, queue_s: float) -> Looked:
    """Decode and resize one photo.

    Raises:
        InputError: the photo can't be used; the subclass says why.
    """
    began = time.perf_counter()
    picture = vision.decode(photo, limits)
    decoded = time.perf_counter()
    pixels = vision.resize(picture, model.manifest.input)
    resized = time.perf_counter()
    return Looked(
        canvas=picture.canvas,
        pixels=pixels,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        queue_s=queue_s,
        decode_s=decoded - began,
        resize_s=resized - decoded,
        began=began,
    )
