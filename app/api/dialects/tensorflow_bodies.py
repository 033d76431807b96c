"""What TensorFlow Serving's JSON bodies hold: an object -> the images in it, in order.

    predict    {"instances": [image, …]}                 rows
               {"instances": [{"any_name": image}, …]}
               {"inputs": [image, …]}                     columns
               {"inputs": {"any_name": [image, …]}}
    classify   {"examples": [{"any_name": image, …}, …]}

An image is {"b64": "…"}, a file; or, for predict, an array that was lifted out of nested lists.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.api.dialects import json_pixels
from app.api.dialects.json_images import decode_base64
from app.errors import BadParameter, TooManyFiles
from app.runtime.classifier import Photo

_B64 = "b64"


@dataclass(frozen=True)
class Reader:
    """Reads bodies."""

    max_images: int
    sides: Collection[int]
    """The sides that an image in nested lists may have."""

    def predict(self, document: Any) -> tuple[list[Photo], bool]:
        """The images of a predict request, and whether they came in columns.

        Raises:
            BadParameter: it isn't one.
            TooManyFiles: it holds too many.
        """
        body = _object_of(document)
        if ("instances" in body) == ("inputs" in body):
            raise BadParameter(
                'The body needs "instances" (rows) or "inputs" (columns), and not both. '
                'Send {"instances": [{"b64": "…"}]}.'
            )
        if "inputs" in body:
            column = self._counted(_column_of(body["inputs"]), "inputs")
            return [self._image(v, f"inputs[{i}]") for i, v in enumerate(column)], True
        rows = self._counted(body["instances"], "instances")
        return [self._instance(row, f"instances[{i}]") for i, row in enumerate(rows)], False

    def classify(self, document: Any) -> tuple[list[Photo], bool]:
        """The images of a classify request, which are rows always.

        Features that are no images are passed over.

        Raises:
            BadParameter: it isn't one.
            TooManyFiles: it holds too many.
        """
        examples = self._counted(_object_of(document).get("examples"), "examples")
        return [_example(example, f"examples[{i}]") for i, example in enumerate(examples)], False

    def _counted(self, images: Any, where: str) -> list[Any]:
        if not isinstance(images, list) or not images:
            raise BadParameter(f'"{where}" must be a list with one image or more. See /docs.')
        if len(images) > self.max_images:
            raise TooManyFiles(
                f'"{where}" has {len(images)} images; {self.max_images} are allowed. '
                "Send fewer at once."
            )
        return images

    def _instance(self, value: Any, where: str) -> Photo:
        """An image by itself, or as the only input by its name."""
        if isinstance(value, Mapping) and _B64 not in value:
            if len(value) != 1:
                raise BadParameter(
                    f'{where} has {len(value)} inputs; the model has one. Send {{"b64": "…"}}.'
                )
            (value,) = value.values()
        return self._image(value, where)

    def _image(self, value: Any, where: str) -> Photo:
        if _is_file(value):
            return decode_base64(value[_B64], f"{where}.{_B64}")
        if isinstance(value, list) and len(value) == 1 and _is_file(value[0]):
            return decode_base64(value[0][_B64], f"{where}[0].{_B64}")
        if isinstance(value, np.ndarray):
            return value
        pixels = json_pixels.wanted(self.sides)
        raise BadParameter(f'{where} is no image. Send {{"b64": "…"}}, or {pixels}.')


def _is_file(value: Any) -> bool:
    return isinstance(value, Mapping) and _B64 in value


def _object_of(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise BadParameter("The body must be a JSON object. See /docs for its members.")
    if not isinstance(document.get("signature_name", ""), str):
        raise BadParameter("signature_name must be a string. Leave it out; one signature serves.")
    return document


def _column_of(inputs: Any) -> Any:
    """The images of the only input, which may stand by its name; one alone is a column of one."""
    if isinstance(inputs, Mapping) and _B64 not in inputs:
        if len(inputs) != 1:
            raise BadParameter(f'"inputs" names {len(inputs)} inputs; the model has one. Send one.')
        (inputs,) = inputs.values()
    return inputs if isinstance(inputs, list) else [inputs]


def _example(example: Any, where: str) -> bytes:
    """The only image among an example's features; a feature may be a list of one."""
    if not isinstance(example, Mapping):
        raise BadParameter(f'{where} is no object. Send {{"image": {{"b64": "…"}}}}.')
    features = [example] if _is_file(example) else list(example.values())
    firsts = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in features]
    files = [value for value in firsts if _is_file(value)]
    if len(files) != 1:
        raise BadParameter(
            f'{where} has {len(files)} images; one is wanted. Send {{"image": {{"b64": "…"}}}}.'
        )
    return decode_base64(files[0][_B64], f"{where}.{_B64}")
