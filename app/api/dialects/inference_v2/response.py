"""The response to an inference: JSON, and after it the output's bytes if they were requested."""

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import Response

from app.api.dialects.inference_v2.request import LENGTH_HEADER, OUTPUT, InferenceRequest
from app.runtime.classifier import Classified
from app.runtime.loaded_model import Model


def make_response(
    images: Sequence[Classified], inference: InferenceRequest, model: Model
) -> Response:
    """Return the response to `inference`.

    Args:
        images: the results; each has as many predictions as the output requests classes.
        inference: the request.
        model: the model that classified the images.
    """
    requested = inference.output
    output, data = _classes(images) if requested.classes else _probabilities(images)
    head: dict[str, Any] = {"model_name": model.name, "model_version": str(model.version)}
    if inference.id is not None:
        head["id"] = inference.id
    if not requested.binary:
        output["data"] = data.tolist()
        return Response(_json({**head, "outputs": [output]}), media_type="application/json")
    tail = data.astype("<f4").tobytes() if output["datatype"] == "FP32" else _prefixed(data)
    output["parameters"] = {"binary_data_size": len(tail)}
    text = _json({**head, "outputs": [output]})
    headers = {LENGTH_HEADER: str(len(text))}
    return Response(text + tail, headers=headers, media_type="application/octet-stream")


def _probabilities(images: Sequence[Classified]) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    rows = np.stack([image.probabilities for image in images])
    return {"name": OUTPUT, "datatype": "FP32", "shape": list(rows.shape)}, rows.reshape(-1)


def _classes(images: Sequence[Classified]) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    rows = [[f"{p.probability:.6f}:{p.index}:{p.label}" for p in i.predictions] for i in images]
    flat = np.array([text for row in rows for text in row], dtype=object)
    return {"name": OUTPUT, "datatype": "BYTES", "shape": [len(rows), len(rows[0])]}, flat


def _prefixed(texts: np.ndarray[Any, Any]) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(data)) + data for data in encoded)


def _json(value: dict[str, Any]) -> bytes:
    # ASCII: an echoed id may hold characters that UTF-8 can't encode
    return json.dumps(value, separators=(",", ":")).encode("ascii")
