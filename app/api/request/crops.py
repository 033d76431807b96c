"""The crops of a request: parts of its only photo, from its parameter `crop` or several of them.

texts -> `parse_crops` -> crops, before the body is read -> `require_one_photo`, once it is
"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query

from app.errors import BadParameter
from app.vision import Crop

DESCRIPTION = (
    "Part of the photo that is used in place of the whole: x,y,width,height. Whole numbers are "
    "pixels of the upright photo, numbers with % shares of it, such as 0%,0%,50%,100%. Repeat it "
    "for several parts of one photo. Unset: the whole photo."
)

CropQuery = Annotated[list[str], Query(description=DESCRIPTION)]
"""The query parameter of the routes of other protocols."""


def parse_crops(texts: Sequence[str], max_crops: int) -> tuple[Crop, ...]:
    """Return the crops that the values of the parameter state, in their order.

    Raises:
        BadParameter: one is no crop, or there are more than `max_crops`.
    """
    if len(texts) > max_crops:
        raise BadParameter(
            f"The request has {len(texts)} crops; {max_crops} are allowed. Send fewer at once."
        )
    return tuple(Crop.parse(text) for text in texts)


def require_one_photo(crops: Sequence[Crop], photos: Sequence[object]) -> None:
    """Check that crops belong to a photo, and to one alone.

    Raises:
        BadParameter: the request has several photos, or an array of pixels.
    """
    if not crops:
        return
    if len(photos) > 1:
        raise BadParameter(
            f"A crop is a part of one photo, and the request has {len(photos)}. "
            "Send them one by one, each with its crops."
        )
    if not isinstance(photos[0], bytes):
        raise BadParameter(
            "A crop is a part of an encoded photo, and the request has an array. "
            "Send the part of the array itself, or the file."
        )


def texts_in(value: object) -> list[str]:
    """Return the texts of a parameter `crop` in JSON: one text, or an array of them.

    Raises:
        BadParameter: it is neither.
    """
    texts = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadParameter('crop must be a text, or an array of them. Send "0%,0%,50%,100%".')
    return texts


def merge_crops(
    in_query: Sequence[str], parsed: tuple[Crop, ...], in_body: Sequence[str], max_crops: int
) -> tuple[Crop, ...]:
    """Return the crops of a request whose query and body may both have some.

    Args:
        in_query: the texts in the query.
        parsed: the same, parsed.
        in_body: the texts in the body.
        max_crops: the most that are allowed.

    Raises:
        BadParameter: both have crops, and they differ; or one in the body is invalid.
    """
    if not in_body:
        return parsed
    if in_query and list(in_query) != list(in_body):
        raise BadParameter(
            f"crop is {' and '.join(in_query)} in the query and {' and '.join(in_body)} in the "
            "body. Send it once."
        )
    return parse_crops(in_body, max_crops)
