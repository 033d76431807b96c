"""TensorFlow Serving's JSON bodies: take the images out of a parsed body, in order.

    predict    {"instances": [image, …]}                 rows
               {"instances": [{"any_name": image}, …]}
               {"inputs": [image, …]}                     columns
               {"inputs": {"any_name": [image, …]}}
    classify   {"examples": [{"any_name": image, …}, …]}

An image is {"b64": "…"}, a file; or, for predict, the bytes that replaced an
image in nested lists (`pixel_lists`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from app.api.dialects.json_images import decode_base64
from app.api.dialects.tensorflow import pixel_lists
from app.errors import BadParameter, TooManyFiles
from app.runtime.classifier import Photo

_B64 = "b64"


@dataclass(frozen=True)
class BodyReader:
    """A reader of parsed bodies for one model."""

    max_images: int
    shapes: Collection[pixel_lists.Shape]
    """The shapes that an image in nested lists may have."""

    def predict(self, document: Any) -> tuple[list[Photo], bool]:
        """Return the images of a predict request, and whether they came in columns.

        Raises:
            BadParameter: the document is not a predict request.
            TooManyFiles: it holds too many images.
        """
        body = _checked_object(document)
        if ("instances" in body) == ("inputs" in body):
            raise BadParameter(
                'The body needs "instances" (rows) or "inputs" (columns), and not both. '
                'Send {"instances": [{"b64": "…"}]}.'
            )
        if "inputs" in body:
            column = self._checked_list(_column(body["inputs"]), "inputs")
            return [self._image(v, f"inputs[{i}]") for i, v in enumerate(column)], True
        rows = self._checked_list(body["instances"], "instances")
        return [self._instance(row, f"instances[{i}]") for i, row in enumerate(rows)], False

    def classify(self, document: Any) -> tuple[list[Photo], bool]:
        """Return the images of a classify request, which are always rows.

        Features that are not images are ignored.

        Raises:
            BadParameter: the document is not a classify request.
            TooManyFiles: it holds too many images.
        """
        examples = self._checked_list(_checked_object(document).get("examples"), "examples")
        return [_example(example, f"examples[{i}]") for i, example in enumerate(examples)], False

    def _checked_list(self, images: Any, where: str) -> list[Any]:
        if not isinstance(images, list) or not images:
            raise BadParameter(f'"{where}" must be a list with one image or more. See /docs.')
        if len(images) > self.max_images:
            raise TooManyFiles(
                f'"{where}" has {len(images)} images; {self.max_images} are allowed. '
                "Send fewer at once."
            )
        return images

    def _instance(self, value: Any, where: str) -> Photo:
        """Return an image that stands alone, or under the name of the only input."""
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
        if isinstance(value, bytes):
            return pixel_lists.to_array(value, self.shapes)
        pixels = pixel_lists.describe(self.shapes)
        raise BadParameter(f'{where} is not an image. Send {{"b64": "…"}}, or {pixels}.')


def _is_file(value: Any) -> bool:
    return isinstance(value, Mapping) and _B64 in value


def _checked_object(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise BadParameter("The body must be a JSON object. See /docs for its members.")
    if not isinstance(document.get("signature_name", ""), str):
        raise BadParameter("signature_name must be a string. Leave it out; there is only one.")
    return document


def _column(inputs: Any) -> Any:
    """Return the images of the only input, with or without its name; one image is a column too."""
    if isinstance(inputs, Mapping) and _B64 not in inputs:
        if len(inputs) != 1:
            raise BadParameter(f'"inputs" names {len(inputs)} inputs; the model has one. Send one.')
        (inputs,) = inputs.values()
    return inputs if isinstance(inputs, list) else [inputs]


def _example(example: Any, where: str) -> bytes:
    """Return the only image among an example's features; a feature may be a list of one."""
    if not isinstance(example, Mapping):
        raise BadParameter(f'{where} is not an object. Send {{"image": {{"b64": "…"}}}}.')
    features = [example] if _is_file(example) else list(example.values())
    values = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in features]
    files = [value for value in values if _is_file(value)]
    if len(files) != 1:
        raise BadParameter(
            f'{where} has {len(files)} images; it must have one. Send {{"image": {{"b64": "…"}}}}.'
        )
    return decode_base64(files[0][_B64], f"{where}.{_B64}")
