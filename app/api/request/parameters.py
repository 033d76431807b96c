"""The query parameters that several routes share."""

from typing import Annotated

from fastapi import Query

ModelName = Annotated[str | None, Query(description="Model name. Unset: the default model.")]
Version = Annotated[
    int | None,
    Query(
        ge=1,
        description="Model version. Unset: the serving version, which is the highest unless "
        "another is pinned.",
    ),
]
AlwaysBatch = Annotated[bool, Query(description="Return a batch for one image too.")]
