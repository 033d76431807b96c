"""Which photos of a request are kept, after its results are known."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.captures import CaptureRule, NewCapture, Prediction, Recorder
from app.runtime.classifier import Classified, Photo
from app.runtime.loaded_model import Model

_PREDICTIONS = 5


@dataclass(frozen=True)
class CapturedPhotos:
    """The rule, and where it puts photos."""

    recorder: Recorder
    rule: CaptureRule
    remembers: bool
    """Whether the last photos are remembered for feedback, whatever the rule says."""

    def observe(
        self,
        request_id: str,
        photos: Sequence[Photo],
        results: Sequence[Classified | BaseException],
        model: Model,
    ) -> None:
        """Keep those of `photos` that the rule selects; arrays are no files and aren't kept.

        Of a photo whose result is about a part of it, that part is kept.

        Args:
            request_id: the request.
            photos: its photos; for several crops of one photo, that photo for each.
            results: the result of each, or its error.
            model: the model that gave them.
        """
        for index, (photo, result) in enumerate(zip(photos, results, strict=True)):
            if not isinstance(result, Classified) or not isinstance(photo, bytes):
                continue
            reason = self.rule.reason(result.decision)
            if reason is None and not self.remembers:
                continue
            capture = NewCapture(
                data=photo,
                format=result.format,
                width=result.width,
                height=result.height,
                request_id=request_id,
                index=index,
                model=result.model,
                version=result.version,
                decision=result.decision,
                predictions=_predictions(result, model),
                reason=reason or "feedback",
                captured_ms=int(time.time() * 1e3),
                crop=result.crop,
                features=_features(result),
            )
            if self.remembers:
                self.recorder.remember(capture)
            if reason is not None:
                self.recorder.offer(capture)


def _features(result: Classified) -> NDArray[np.float32]:
    """Return the embedding if the run gave one, else the probabilities; neither costs a run."""
    return result.probabilities if result.embedding is None else result.embedding


def _predictions(result: Classified, model: Model) -> tuple[Prediction, ...]:
    """Return what the response listed, the most probable first; at least one label."""
    listed = result.predictions[:_PREDICTIONS]
    if listed:
        return tuple(Prediction(each.label, float(each.probability)) for each in listed)
    first = int(result.probabilities.argmax())
    return (Prediction(model.manifest.labels[first].name, float(result.probabilities[first])),)
