"""The JSON of similar photos: an embedding -> its neighbours -> bytes, on the calling thread."""

import base64

import numpy as np
from numpy.typing import NDArray

from app.api.schemas.classification import DECIMALS, image_of
from app.api.schemas.similar import Similar, SimilarPhoto
from app.runtime.classifier import Classified
from app.runtime.served_indexes import ServedIndex
from app.vector_index import IndexedPhoto


def similar_json(
    served: ServedIndex,
    vector: NDArray[np.float32],
    count: int,
    *,
    thumbnails: bool,
    image: Classified | None = None,
) -> bytes:
    """Return the photos that are most similar to an embedding.

    Args:
        served: the index.
        vector: (D,), of any length.
        count: the number of photos, at most.
        thumbnails: whether they have their thumbnails.
        image: the result of the image, for its format and size; None: of several.

    Raises:
        IndexInvalid: the index was damaged.
    """
    manifest = served.index.manifest
    found = served.index.search(vector, count, thumbnails=thumbnails and manifest.thumbnails > 0)
    body = Similar(
        model=manifest.model.name,
        version=manifest.model.version,
        index=served.name,
        results=[_photo(photo, similarity) for photo, similarity in found],
        image=None if image is None else image_of(image),
    )
    return body.model_dump_json().encode()


def _photo(photo: IndexedPhoto, similarity: float) -> SimilarPhoto:
    small = photo.thumbnail and base64.b64encode(photo.thumbnail).decode()
    return SimilarPhoto(
        path=photo.path,
        similarity=round(similarity, DECIMALS),
        sha256=photo.sha256,
        thumbnail=f"data:image/jpeg;base64,{small}" if small else None,
    )
