"""The parameters of routes: read from the query, and from the fields of a form beside a photo."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.api.request.crops import DESCRIPTION
from app.api.unknown_parameters import unknown_name
from app.errors import BadParameter

Version = Annotated[
    int | None,
    Query(
        ge=1,
        description="Model version. Unset: the serving version, which is the highest unless "
        "another is pinned.",
    ),
]


class PhotoParameters(BaseModel):
    """The parameters of every route that takes a photo."""

    model_config = ConfigDict(frozen=True)

    model: Annotated[str | None, Field(description="Model name. Unset: the default model.")] = None
    version: Annotated[
        int | None,
        Field(
            ge=1,
            description="Model version. Unset: the serving version, which is the highest unless "
            "another is pinned.",
        ),
    ] = None
    crop: Annotated[list[str], Field(description=DESCRIPTION)] = []

    def with_fields(self, fields: Mapping[str, str], crops: Sequence[str] = ()) -> Self:
        """Return these parameters of the query with those of a form.

        Fields are validated as the query is. A field without content is unset, since the form of
        a web page sends all of its fields.

        Args:
            fields: the fields of the form.
            crops: the values of its field `crop`, which may be repeated.

        Raises:
            BadParameter: a field is unknown or invalid, or differs from the query.
        """
        sent: dict[str, Any] = {name: value for name, value in fields.items() if value.strip()}
        if crops:
            sent["crop"] = list(crops)
        known = type(self).model_fields
        for name in fields:
            if name not in known:
                raise unknown_name("form field", name, known)
        if not sent:
            return self
        try:
            form = type(self).model_validate(sent)
        except ValidationError as err:
            first = err.errors()[0]
            raise BadParameter(
                f"The form field {first['loc'][0]} is invalid: {first['msg']}. "
                "See /docs for the accepted values."
            ) from err
        for name in self.model_fields_set & form.model_fields_set:
            if getattr(self, name) != getattr(form, name):
                raise BadParameter(
                    f"{name} is {getattr(self, name)!r} in the query and {getattr(form, name)!r} "
                    "in the form. Send it once."
                )
        return self.model_copy(update={name: getattr(form, name) for name in sent})


class BatchParameters(PhotoParameters):
    """The parameters of routes that take several photos."""

    batch: Annotated[bool, Field(description="Return a batch for one image too.")] = False
