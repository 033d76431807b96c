"""The problem details of RFC 9457."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

EXAMPLE_ID = "0f8fad5bd9cb469fa16570867728950e"


class Problem(BaseModel):
    """An error as RFC 9457 defines it, with a stable `code` and the request's id."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:hubel:problem:not_an_image",
                    "title": "Not an image",
                    "status": 400,
                    "detail": "The file is in no known image format. Send the bytes of a JPEG, "
                    "PNG, WebP, GIF, BMP, TIFF or AVIF file.",
                    "code": "not_an_image",
                    "request_id": EXAMPLE_ID,
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: Annotated[str, Field(description="What happened, and what to do about it.")]
    code: Annotated[str, Field(description="Stable error code, for programs.")]
    request_id: str
