"""What was found -> the answer to an inference: JSON, and after it the output's bytes if asked."""

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import Response

from app.api.dialects.inference_v2.request import LENGTH_HEADER, OUTPUT, Inference
from app.runtime.classifier import Classified
from app.runtime.loaded_model import Model


def reply(found: Sequence[Classified], asked: Inference, model: Model) -> Response:
    """The answer; `found` has as many predictions as `asked` wants classes."""
    output, data = _classes(found) if asked.output.classes else _probabilities(found)
    head: dict[str, Any] = {"model_name": model.name, "model_version": str(model.version)}
    if asked.id is not None:
        head["id"] = asked.id
    if not asked.output.binary:
        output["data"] = data.tolist()
        return Response(_json({**head, "outputs": [output]}), media_type="application/json")
    tail = data.astype("<f4").tobytes() if output["datatype"] == "FP32" else _prefixed(data)
    output["parameters"] = {"binary_data_size": len(tail)}
    text = _json({**head, "outputs": [output]})
    headers = {LENGTH_HEADER: str(len(text))}
    return Response(text + tail, headers=headers, media_type="application/octet-stream")


def _probabilities(found: Sequence[Classified]) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    rows = np.stack([one.probabilities for one in found])
    return {"name": OUTPUT, "datatype": "FP32", "shape": list(rows.shape)}, rows.reshape(-1)


def _classes(found: Sequence[Classified]) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    rows = [[f"{p.probability:.6f}:{p.index}:{p.label}" for p in one.predictions] for one in found]
    flat = np.array([text for row in rows for text in row], dtype=object)
    return {"name": OUTPUT, "datatype": "BYTES", "shape": [len(rows), len(rows[0])]}, flat


def _prefixed(texts: np.ndarray[Any, Any]) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(data)) + data for data in encoded)


def _json(value: dict[str, Any]) -> bytes:
    # ASCII: an echoed id may hold what UTF-8 can't
    return json.dumps(value, separators=(",", ":")).encode("ascii")
