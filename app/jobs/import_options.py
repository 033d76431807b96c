"""The request of a job that imports a model: the upload, its labels, options of `hubel import`.

The names and limits are those of `hubel import`. Options that name files are left out.
"""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.bundle import Fit, Name, Resample

MAX_LABELS = 100_000
_Label = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
]
_Side = Annotated[int, Field(ge=1, le=4096)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Triple = tuple[_Finite, _Finite, _Finite]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Preset = Literal[
    "torchvision",
    "keras-tf",
    "keras-caffe",
    "timm",
    "openclip",
    "teachable-machine",
    "custom-vision",
]
_NO_OPTIONS = frozenset({"upload", "model", "labels", "size", "mean", "std"})


class ImportRequest(BaseModel):
    """An upload to import; null: as the file says, or the default of `hubel import`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    upload: Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="`id` of the upload.")]
    model: Annotated[Name, Field(description="Model that gets a new version.")]
    labels: Annotated[
        list[_Label],
        Field(min_length=1, max_length=MAX_LABELS, description="In the order of the output."),
    ]
    size: Annotated[
        _Side | tuple[_Side, _Side] | None,
        Field(description="Side of the input; or height, width."),
    ] = None
    preset: Annotated[
        Preset | None, Field(description="Usual convention of mean, std, crop and the like.")
    ] = None
    mean: Annotated[_Triple | None, Field(description="Of each channel, subtracted.")] = None
    std: Annotated[
        tuple[_Positive, _Positive, _Positive] | None,
        Field(description="Of each channel, the divisor."),
    ] = None
    pixel_range: Annotated[
        Literal[1, 255] | None, Field(description="Range of pixels that mean and std are for.")
    ] = None
    channels: Literal["rgb", "bgr"] | None = None
    layout: Literal["nchw", "nhwc"] | None = None
    fit: Fit | None = None
    crop: Annotated[float | None, Field(gt=0, le=1)] = None
    resample: Resample | None = None
    output_kind: Literal["logits", "probabilities"] | None = None
    output_name: Annotated[str | None, Field(max_length=1000)] = None
    task: Literal["single_label", "multi_label"] | None = None

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        (name, count), *_ = Counter(label.casefold() for label in self.labels).most_common(1)
        if count > 1:
            raise ValueError(f"the label {name!r} stands twice; labels must differ")
        return self

    def arguments(self) -> list[str]:
        """Return the options as they stand on the command line."""
        arguments = []
        if self.size is not None:
            sides = (self.size, self.size) if isinstance(self.size, int) else self.size
            arguments += ["--size", "x".join(map(str, sides))]
        for name in ("mean", "std"):
            if (values := getattr(self, name)) is not None:
                arguments.append(f"--{name}={','.join(map(str, values))}")
        for name, value in self.model_dump(exclude_none=True, exclude=set(_NO_OPTIONS)).items():
            arguments.append(f"--{name.replace('_', '-')}={value}")
        return arguments
