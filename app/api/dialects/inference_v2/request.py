"""A v2 inference request: read photos and the requested output from its body.

    Inference-Header-Content-Length   absent: all of the body is JSON
                                      0: all of the body is the only image (raw binary request)
                                      n: n bytes of JSON, then the input's bytes

The caller runs this on a thread: a body of many images takes milliseconds.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.api.dialects.inference_v2.document import read_document
from app.api.dialects.inference_v2.tensors import (
    ModelInput,
    from_binary,
    from_numbers,
    from_raw,
    from_strings,
    read_spec,
)
from app.api.request.crops import texts_in
from app.errors import BadParameter
from app.runtime.classifier import Photo

INPUT = "image"
OUTPUT = "probabilities"
LENGTH_HEADER = "Inference-Header-Content-Length"

_MAX_HEADER_BYTES = 1024 * 1024
"""Maximum length of JSON before binary data. JSON without binary data may fill the body."""
_LENGTH = re.compile("[0-9]{1,18}")
_SHARED_MEMORY = "shared_memory_region"


@dataclass(frozen=True)
class RequestedOutput:
    """The form of the output that the request asks for."""

    binary: bool = False
    """Whether the output follows the JSON; otherwise it is in the JSON."""
    classes: int = 0
    """Number of most probable labels, as `score:index:label`. 0: all probabilities."""


@dataclass(frozen=True, eq=False)
class InferenceRequest:
    """The photos and the requested output of an inference request."""

    photos: Sequence[Photo]
    output: RequestedOutput
    id: str | None = None
    """The request's id, which the response repeats."""
    crops: Sequence[str] = ()
    """The request's parameter `crop`: parts of its only photo."""


def json_bytes(length: str | None, body_bytes: int) -> int:
    """Return the length of a body's JSON; 0 for a raw binary request.

    Args:
        length: the header with that length, if there is one.
        body_bytes: length of the whole body.

    Raises:
        BadParameter: the header contradicts the body.
    """
    if length is None:
        if not body_bytes:
            raise BadParameter("The body is empty. Send an inference as JSON.")
        return body_bytes
    if not _LENGTH.fullmatch(length):
        raise BadParameter(f"{LENGTH_HEADER} must be a whole number, not {length!r:.40}.")
    stated = int(length)
    if stated > body_bytes:
        raise BadParameter(
            f"{LENGTH_HEADER} says {stated} bytes of JSON; the body has {body_bytes}."
        )
    if _MAX_HEADER_BYTES < stated < body_bytes:
        raise BadParameter(
            f"{LENGTH_HEADER} says {stated} bytes of JSON before binary data; "
            f"{_MAX_HEADER_BYTES} are allowed."
        )
    return stated


def read_inference(body: bytes, json_length: int, model_input: ModelInput) -> InferenceRequest:
    """Read the body of an inference request.

    Args:
        body: the whole body.
        json_length: length of its JSON, in bytes.
        model_input: the input that the model accepts.

    Raises:
        BadParameter: the body does not follow the protocol; the message says where.
        TooManyFiles: it has more images than are allowed.
    """
    if not json_length:
        return InferenceRequest(from_raw(body, model_input), RequestedOutput())
    document = read_document(body[:json_length])
    id = document.get("id")
    if id is not None and not isinstance(id, str):
        raise BadParameter("The request's `id` must be a string.")
    output, crops = _read_output(document), texts_in(_parameters(document, "request").get("crop"))
    photos = _read_photos(document, body, json_length, model_input)
    return InferenceRequest(photos, output, id, crops)


def _read_photos(
    document: Mapping[str, Any], body: bytes, json_length: int, model_input: ModelInput
) -> Sequence[Photo]:
    tensor = _only(document.get("inputs"), "input", INPUT)
    spec = read_spec(tensor.get("datatype"), tensor.get("shape"), model_input)
    size = _parameters(tensor, "input").get("binary_data_size")
    data = tensor.get("data")
    if (size is None) == (data is None):
        raise BadParameter("The input must have either `data` or the parameter binary_data_size.")
    trailing_bytes = len(body) - json_length
    if type(size) not in (int, type(None)) or trailing_bytes != (size or 0):
        raise BadParameter(
            f"{trailing_bytes} bytes follow the JSON; binary_data_size says {size!r:.40}. "
            f"Both must be the same, and {LENGTH_HEADER} must be the length of the JSON."
        )
    if size is not None:
        return from_binary(spec, body, json_length)
    return from_numbers(spec, data) if isinstance(data, bytes) else from_strings(spec, data)


def _read_output(value: Mapping[str, Any]) -> RequestedOutput:
    parameters = _parameters(value, "request")
    if value.get("outputs") in (None, []):
        return RequestedOutput(binary=parameters.get("binary_data_output") is True)
    output = _parameters(_only(value["outputs"], "output", OUTPUT), "output")
    classes = output.get("classification", 0)
    if type(classes) is not int or ("classification" in output and classes < 1):
        raise BadParameter("The parameter classification must be a whole number, 1 or more.")
    binary = output.get("binary_data", parameters.get("binary_data_output"))
    return RequestedOutput(binary is True, classes)


def _only(tensors: object, kind: str, name: str) -> Mapping[str, Any]:
    """Return the only tensor of a request's `inputs` or `outputs`."""
    if not isinstance(tensors, list) or not all(isinstance(tensor, dict) for tensor in tensors):
        raise BadParameter(f"`{kind}s` must be an array of objects.")
    for tensor in tensors:
        if tensor.get("name") != name:
            raise BadParameter(
                f"There is no {kind} {tensor.get('name')!r:.80}. The only {kind} is {name!r}."
            )
    if len(tensors) != 1:
        raise BadParameter(f"`{kind}s` must name {name!r} once, not {len(tensors)} times.")
    first: Mapping[str, Any] = tensors[0]
    return first


def _parameters(part: Mapping[str, Any], of: str) -> Mapping[str, Any]:
    parameters = part.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise BadParameter(f"The {of}'s `parameters` must be an object.")
    if _SHARED_MEMORY in parameters:
        raise BadParameter("Shared memory is not supported. Send tensors in the request.")
    return parameters
