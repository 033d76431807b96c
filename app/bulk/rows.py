"""The fields of a photo's row, for a line of JSON or a row of Parquet."""

from collections.abc import Mapping
from typing import Any

from app.errors import HubelError
from app.runtime.bulk import PhotoResult
from app.runtime.classifier import Classified


def printable(path: object) -> str:
    """Return a path, or a text with one; bytes that are not UTF-8 become question marks."""
    return str(path).encode("utf-8", "replace").decode()


def row_fields(photo: PhotoResult) -> dict[str, Any]:
    """Return the fields of one photo's row; `embedding` is an array of float32."""
    result = photo.result
    row: dict[str, Any] = {"path": printable(photo.path)}
    if isinstance(result, HubelError):
        row["error"] = {"code": result.code, "detail": printable(result)}
    else:
        row |= {
            "model": result.model,
            "version": result.version,
            "predictions": [
                {
                    "label": p.label,
                    "index": p.index,
                    "probability": p.probability,
                    **({} if p.accepted is None else {"accepted": p.accepted}),
                }
                for p in result.predictions
            ],
            "decision": result.decision,
            **unknown_fields(result),
        }
    row |= file_fields(photo)
    if not isinstance(result, HubelError) and result.embedding is not None:
        row["embedding"] = result.embedding
    return row


def unknown_fields(result: Classified) -> dict[str, Any]:
    """Return the score that decides whether a photo is unknown, as /api/v1/classify names it."""
    unknown = result.unknown
    return {
        "familiarity": unknown and unknown.shown_value,
        "unknown_score": unknown and unknown.name,
        "unknown_threshold": unknown and unknown.threshold,
    }


def file_fields(photo: PhotoResult) -> Mapping[str, Any]:
    """Return what a row says about the file: hash, bytes, and its picture's format."""
    fields: dict[str, Any] = {"sha256": photo.sha256, "size": photo.size}
    if not isinstance(photo.result, HubelError):
        result = photo.result
        fields |= {"format": result.format, "width": result.width, "height": result.height}
    return fields
