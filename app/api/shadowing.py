"""The hand-over of a request's results to the shadow of its model, once the response is sent."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from app.api.middleware.request_context import RequestRecord
from app.api.service import Service
from app.runtime.classifier import Classified, Photo
from app.runtime.trials import Shadow
from app.vision import Crop


def take_pixels(service: Service, record: RequestRecord, shadow: Shadow, images: int) -> Shadow:
    """Take memory for the pixels that are kept for a shadow's runs until the response is sent.

    If there is none, the shadow doesn't run on this request: it must change no response.
    """
    budget, size = service.memory_budget, images * shadow.kept_bytes
    if not size:
        return shadow
    if not budget.try_take(size):
        for _ in range(images):
            shadow.comparison.drop("memory")
        return replace(shadow, is_selected=False)
    record.at_end.append(partial(budget.give_back, size))
    return shadow


def run_after_response(
    service: Service,
    record: RequestRecord,
    shadow: Shadow,
    results: Sequence[Classified | BaseException],
    photos: Sequence[Photo],
    crops: Sequence[Crop],
) -> None:
    """Take memory for the shadow's runs now, and queue them at the end of the request."""
    backlog = service.trials.backlog
    if runs := backlog.hold(shadow.runs(results, photos, crops, record.request_id)):
        record.at_end.append(partial(backlog.add, runs))
