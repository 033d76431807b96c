"""The responses of /api/v1/similar and /api/v1/indexes."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.classification import Failure, Image

EXAMPLE_SIMILAR: dict[str, Any] = {
    "model": "imagenet",
    "version": 1,
    "index": "holidays",
    "results": [
        {
            "path": "2019/harbour.jpg",
            "similarity": 0.913204,
            "sha256": "4c1d" + 60 * "0",
            "thumbnail": None,
        }
    ],
    "image": {"format": "jpeg", "width": 451, "height": 300, "crop": None},
}


class SimilarPhoto(BaseModel):
    """A photo of the index."""

    path: Annotated[
        str,
        Field(
            description="Path, relative to the folder from which the index was made; absolute if "
            "the photo lies elsewhere."
        ),
    ]
    similarity: Annotated[
        float, Field(description="Cosine similarity of the embeddings, from -1 to 1.")
    ]
    sha256: Annotated[str, Field(description="Hash of the file's bytes.")]
    thumbnail: Annotated[
        str | None,
        Field(description="A JPEG as a `data:` URL, with `thumbnails=true`; null: there is none."),
    ]


class Similar(BaseModel):
    """The photos of an index that are most similar to an image, the most similar first."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_SIMILAR]})

    model: Annotated[str, Field(description="The model that made the index.")]
    version: int
    index: str
    results: list[SimilarPhoto]
    image: Annotated[Image | None, Field(description="The image. null with `together=true`.")]


class SimilarBatch(BaseModel):
    """The similar photos of several images or crops, in the order of the request."""

    results: list[Similar | Failure]


class Index(BaseModel):
    """An index of photos that can be searched."""

    name: str
    model: Annotated[str, Field(description="The model that made it.")]
    version: int
    photos: Annotated[int, Field(description="Number of photos.")]
    dimension: Annotated[int, Field(description="Numbers of an embedding.")]
    thumbnails: Annotated[bool, Field(description="Whether its photos have thumbnails.")]
    created: Annotated[str, Field(description="Time when it was written, as ISO 8601.")]
    ready: Annotated[bool, Field(description="Whether the model that made it is loaded.")]
    reason: Annotated[
        str | None,
        Field(
            description="Why it isn't ready, or what is wrong with its files while it serves on as "
            "it was loaded; null if nothing is."
        ),
    ]


class Indexes(BaseModel):
    """The indexes of the service, by name."""

    indexes: list[Index]
