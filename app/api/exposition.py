"""The formats in which /metrics shows the metrics: Prometheus's, and OpenMetrics with exemplars.

Accept -> exposition_for -> write(registry) -> text
"""

from collections.abc import Callable, Mapping
from typing import Literal, cast

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

Exposition = Literal["text", "openmetrics"]

CONTENT_TYPES: Mapping[Exposition, str] = {
    "text": CONTENT_TYPE_LATEST,
    "openmetrics": openmetrics.CONTENT_TYPE_LATEST,
}


def exposition_for(accept: str) -> Exposition:
    """Return the format for a client's Accept header: OpenMetrics if it names that."""
    media_types = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return "openmetrics" if "application/openmetrics-text" in media_types else "text"


def write(registry: CollectorRegistry, format: Exposition) -> bytes:
    """Return the metrics of a registry as text."""
    if format == "text":
        return generate_latest(registry)
    write_openmetrics = cast(Callable[[CollectorRegistry], bytes], openmetrics.generate_latest)
    return write_openmetrics(registry)
