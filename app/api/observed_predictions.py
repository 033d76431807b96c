"""Observers of a request's predictions: metrics, drift, the log line, photos that are kept."""

from collections.abc import Iterable, Sequence

from app.api.middleware.request_context import RequestRecord
from app.api.service import Service
from app.runtime.classifier import Classified, Photo, Query
from app.runtime.loaded_model import Model

_LOGGED_DECIMALS = 4


def observe_predictions(
    record: RequestRecord,
    results: Iterable[Classified | BaseException],
    service: Service,
    model: Model,
    query: Query,
) -> None:
    """Count the predictions among `results` for metrics, drift and the log.

    A request that replaces the threshold for `unknown` is none for drift: its decisions can't be
    compared with those of the baseline.
    """
    has_own_threshold = query.unknown_threshold is not None
    for result in results:
        if isinstance(result, Classified):
            service.metrics.predictions.observe(result, model)
            if not has_own_threshold:
                service.drift.observe(result, model)
            if service.log_predictions:
                first = int(result.probabilities.argmax())
                probability = round(float(result.probabilities[first]), _LOGGED_DECIMALS)
                record.predicted.append((model.manifest.labels[first].name, probability))


def keep_photos(
    record: RequestRecord,
    photos: Sequence[Photo],
    results: Sequence[Classified | BaseException],
    service: Service,
    model: Model,
) -> None:
    """Keep the photos that the service is to keep, if any."""
    if service.captures is not None:
        service.captures.observe(record.request_id, photos, results, model)
