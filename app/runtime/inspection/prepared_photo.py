"""The first half of every question about a photo: decoded and resized, as for an answer."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.runtime.classifier import Stages
from app.runtime.loaded_model import Model


@dataclass(frozen=True, eq=False)
class PreparedPhoto:
    """A photo as a model reads it."""

    picture: vision.Picture
    pixels: NDArray[np.uint8]
    """(S, S, 3) RGB."""
    queue_s: float
    decode_s: float
    resize_s: float
    began: float

    @property
    def canvas(self) -> NDArray[np.uint8]:
        """(480, 480, 3) RGB; made when it is first asked for, on the thread that asks."""
        return self.picture.canvas

    def stages(self) -> Stages:
        """What each stage took, the run being all since the resize."""
        so_far = time.perf_counter() - self.began - self.decode_s - self.resize_s
        return Stages(self.queue_s, self.decode_s, self.resize_s, so_far)


def prepare_photo(
    photo: bytes, model: Model, limits: vision.Limits, queue_s: float
) -> PreparedPhoto:
    """Decode and resize one photo.

    Raises:
        InputError: the photo can't be used; the subclass says why.
    """
    began = time.perf_counter()
    picture = vision.decode(photo, limits)
    decoded = time.perf_counter()
    pixels = vision.resize(picture, model.manifest.input)
    resized = time.perf_counter()
    return PreparedPhoto(
        picture=picture,
        pixels=pixels,
        queue_s=queue_s,
        decode_s=decoded - began,
        resize_s=resized - decoded,
        began=began,
    )
