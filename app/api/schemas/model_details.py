"""GET /api/v1/models/{name}: all that is known of one model, its layers too."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.schemas.classification import ModelSummary, summary_of
from app.api.schemas.inspection import FiltersInfo, GridLayout, LayerInfo
from app.runtime.catalogue import Entry
from app.runtime.inspection import Filters, Grid, ModelStructure
from app.runtime.loaded_model import Model
from app.runtime.registry import Registry

_DECIMALS = 6


class ModelDetails(ModelSummary):
    """One model, with what its bundle tells of it."""

    label_names: list[str]
    label_ids: list[str | None]
    input: dict[str, Any]
    metrics: dict[str, Any]
    calibration: dict[str, Any] | None
    training: dict[str, Any]
    layers: Annotated[
        list[LayerInfo], Field(description="From the pixels to the probabilities, in order.")
    ]
    first_layer: Annotated[
        str | None, Field(description="The first convolution after its nonlinearity.")
    ]
    filters: Annotated[
        FiltersInfo | None,
        Field(description="What filters.png shows; null where the first layer can't be drawn."),
    ]
    explained_by: Annotated[
        Literal["class_activation_map", "occlusion"], Field(description="How /explain answers.")
    ]
    embedding: Annotated[bool, Field(description="Whether /embed answers.")]


def details_of(
    entry: Entry, model: Model, registry: Registry, structure: ModelStructure
) -> ModelDetails:
    """The answer for one model that serves, with everything."""
    manifest = model.manifest
    told = manifest.model_dump(mode="json", include={"input", "metrics", "calibration", "training"})
    return ModelDetails(
        **summary_of(entry, registry).model_dump(),
        **told,
        label_names=[label.name for label in manifest.labels],
        label_ids=[label.id for label in manifest.labels],
        layers=[LayerInfo(name=x.name, op=x.op, shape=list(x.shape)) for x in structure.layers],
        first_layer=structure.first.name if structure.first else None,
        filters=_filters_of(structure.filters) if structure.filters else None,
        explained_by="class_activation_map" if structure.head else "occlusion",
        embedding="embedding" in model.session.outputs,
    )


def _filters_of(filters: Filters) -> FiltersInfo:
    """What filters.png shows of the first layer."""
    count, _, height, width = filters.weights.shape
    return FiltersInfo(
        layer=filters.layer,
        shape=list(filters.weights.shape),
        largest=round(filters.largest, _DECIMALS),
        grid=GridLayout(**asdict(Grid.of(count, height, width))),
    )
