"""The responses about models: /api/v1/models and below, and /readyz."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from app.api.schemas.classification import DECIMALS
from app.api.schemas.inspection import GridLayout
from app.bundle import Task
from app.runtime.catalogue import Entry
from app.runtime.inspection import Filters, Grid, ModelStructure
from app.runtime.loaded_model import Model
from app.runtime.pins import ModelPins, TrialMode
from app.runtime.registry import Registry

REPORT = "report/index.html"
"""The training report's page, relative to the bundle."""


DefaultName = Annotated[
    str | None,
    Field(
        description="Model for requests that name none. null: there are several, and a request "
        "must name one."
    ),
]
DefaultReason = Annotated[
    str, Field(description="Reason why the default model is that one, or why there is none.")
]


class TrialInfo(BaseModel):
    """A trial of a version beside the one that serves."""

    mode: Annotated[
        TrialMode,
        Field(
            description="`shadow`: it runs on a share of the images, and no response comes from "
            "it. `canary`: it answers a share of the requests that name no version."
        ),
    ]
    share: float


class ModelSummary(BaseModel):
    """One version of a model."""

    name: str
    version: Annotated[
        int | None, Field(description="Model version. null if bundle.json can't be read.")
    ]
    state: Literal["ready", "unloaded", "refused"]
    default: Annotated[
        bool, Field(description="Whether requests that name no model get this model.")
    ]
    serving: Annotated[
        bool, Field(description="Whether requests that name no version get this version.")
    ]
    pinned: Annotated[
        bool,
        Field(description="Whether this version serves although a higher one may be ready."),
    ]
    held: Annotated[
        bool,
        Field(description="Whether this version serves only requests that name it."),
    ]
    held_reason: Annotated[
        str | None,
        Field(description="Reason why it is held back. null: it isn't, or nobody has said why."),
    ]
    trial: Annotated[
        TrialInfo | None,
        Field(description="How this version is tried beside the one that serves. null: it isn't."),
    ]
    precision: Annotated[str | None, Field(description="Precision in use: fp32 or int8.")]
    device: str | None
    task: Annotated[
        Task | None,
        Field(
            description="Whether exactly one label is right for an image, or any number of them."
        ),
    ]
    labels: Annotated[int | None, Field(description="Number of labels.")]
    reason: Annotated[
        str | None,
        Field(
            description="Reason why the bundle in the folder is not loaded: it was refused or "
            "unloaded, or the folder is missing. An older one may still be ready."
        ),
    ]
    notes: Annotated[
        list[str], Field(description="Notes from loading, such as why int8 is not used.")
    ]
    report: Annotated[bool, Field(description="Whether the bundle has a training report.")]


class ModelList(BaseModel):
    """All models, including those that were refused."""

    default: DefaultName
    default_reason: DefaultReason
    models: list[ModelSummary]
    warning: Annotated[
        str | None,
        Field(
            description="Reason why the newest choice of a version or default ends with the "
            "process. null if it is in the pin file."
        ),
    ]


class QueueState(BaseModel):
    """The images that wait."""

    waiting: int
    large: Annotated[int, Field(description="Those of them that are large, and wait apart.")]
    wait_seconds: Annotated[
        float, Field(description="Expected seconds until a new small image begins.")
    ]
    full: Annotated[bool, Field(description="Whether a new request would get 429.")]


class Readiness(BaseModel):
    """The readiness of the service for requests; a full queue does not change it."""

    status: Literal["ready", "not ready", "draining"]
    reason: Annotated[str | None, Field(description="Reason why the service is not ready.")]
    device: str
    device_note: str | None
    default: DefaultName
    default_reason: DefaultReason
    models: list[ModelSummary]
    queue: QueueState


class LayerInfo(BaseModel):
    """A layer of a model."""

    name: str
    op: Annotated[str, Field(description="ONNX operator that computes the layer.")]
    shape: Annotated[
        list[int], Field(description="Channels, height and width; for a vector, its length.")
    ]


class FiltersInfo(BaseModel):
    """A description of the picture filters.png."""

    layer: Annotated[str, Field(description="Convolution that the filters belong to.")]
    shape: Annotated[list[int], Field(description="Filters, colours, rows and columns.")]
    largest: Annotated[
        float,
        Field(
            description="Weight that is drawn brightest. Its negative is drawn darkest, and 0 is "
            "grey. The scale between is a cube root, the same for all filters."
        ),
    ]
    grid: GridLayout


class ModelDetails(ModelSummary):
    """One version of a model with its labels, layers and metrics."""

    versions: Annotated[
        list[ModelSummary], Field(description="All versions of the model, the newest first.")
    ]
    rolls_back_to: Annotated[
        int | None,
        Field(
            description="Version that `mode=rollback` would select outside of a trial. null: there "
            "is none."
        ),
    ]
    label_names: list[str]
    label_ids: list[str | None]
    thresholds: Annotated[
        list[float] | None,
        Field(
            description="Probability from which each label of a multi-label model is accepted. "
            "null: exactly one label is right for an image."
        ),
    ]
    undecided: Annotated[
        list[tuple[float, float]] | None,
        Field(
            description="Of a multi-label model: band of probabilities of each label in which the "
            "decision about the image is `unsure`."
        ),
    ]
    input: dict[str, Any]
    metrics: dict[str, Any]
    calibration: dict[str, Any] | None
    unknown: Annotated[
        dict[str, Any] | None,
        Field(description="Rule for the decision `unknown`. null: no photo is `unknown`."),
    ]
    decision: Annotated[
        dict[str, Any] | None,
        Field(
            description="Acceptance threshold, and the promise that it keeps. null: the bundle "
            "states none."
        ),
    ]
    training: dict[str, Any]
    layers: Annotated[
        list[LayerInfo], Field(description="Layers in order, from the pixels to the probabilities.")
    ]
    first_layer: Annotated[
        str | None, Field(description="Output of the first convolution after its nonlinearity.")
    ]
    filters: Annotated[
        FiltersInfo | None,
        Field(
            description="Description of filters.png. null if the first layer's filters can't be "
            "drawn."
        ),
    ]
    explained_by: Annotated[
        Literal["class_activation_map", "occlusion"],
        Field(description="Method that /explain uses."),
    ]
    embedding: Annotated[bool, Field(description="Whether the model supports /embed.")]


def summary_of(entry: Entry, registry: Registry) -> ModelSummary:
    """Return the summary of one registered model."""
    model = entry.model
    pins = registry.pins.of(entry.name)
    return ModelSummary(
        name=entry.name,
        version=entry.version,
        state=entry.state,
        default=entry.name == registry.default.name,
        serving=registry.is_selected(entry),
        pinned=entry.version is not None and entry.version == pins.serving,
        held=entry.version in pins.held,
        held_reason=pins.reasons.get(entry.version or 0),
        trial=_trial_of(entry, pins),
        precision=model.session.precision if model else None,
        device=model.session.device if model else None,
        task=model.manifest.task if model else None,
        labels=len(model.manifest.labels) if model else None,
        reason=entry.reason,
        notes=list(model.notes) if model else [],
        report=model is not None and REPORT in model.manifest.files,
    )


def _trial_of(entry: Entry, pins: ModelPins) -> TrialInfo | None:
    trial = pins.trial
    if trial is None or trial.version != entry.version:
        return None
    return TrialInfo(mode=trial.mode, share=trial.share)


def list_of(registry: Registry) -> ModelList:
    """Return the summaries of all registered models."""
    return ModelList(
        default=registry.default.name,
        default_reason=registry.default.reason,
        warning=registry.unsaved,
        models=[summary_of(entry, registry) for entry in registry.entries],
    )


def details_of(
    entry: Entry, model: Model, registry: Registry, structure: ModelStructure
) -> ModelDetails:
    """Return the details of one model that is ready."""
    manifest = model.manifest
    metadata = manifest.model_dump(
        mode="json",
        include={
            *("input", "metrics", "calibration", "unknown", "decision", "training"),
            *("thresholds", "undecided"),
        },
    )
    return ModelDetails(
        **summary_of(entry, registry).model_dump(),
        **metadata,
        versions=[
            summary_of(each, registry) for each in registry.entries if each.name == entry.name
        ],
        rolls_back_to=registry.roll_back_target(entry.name),
        label_names=[label.name for label in manifest.labels],
        label_ids=[label.id for label in manifest.labels],
        layers=[
            LayerInfo(name=layer.name, op=layer.op, shape=list(layer.shape))
            for layer in structure.layers
        ],
        first_layer=structure.default_layer.name if structure.default_layer else None,
        filters=_filters_of(structure.filters) if structure.filters else None,
        explained_by="class_activation_map" if structure.head else "occlusion",
        embedding="embedding" in model.session.outputs,
    )


def _filters_of(filters: Filters) -> FiltersInfo:
    """Return the description of the first layer's filters and their picture."""
    count, _, height, width = filters.weights.shape
    return FiltersInfo(
        layer=filters.layer,
        shape=list(filters.weights.shape),
        largest=round(filters.largest, DECIMALS),
        grid=GridLayout(**asdict(Grid.of(count, height, width))),
    )
