"""The preprocessing from a photo to a graph's input."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.bundle.part import Part

Resample = Literal["box", "bilinear", "bicubic", "lanczos"]
Side = Annotated[int, Field(ge=8, le=480)]
Fit = Literal["cover", "stretch", "contain"]


class InputSpec(Part):
    """The preprocessing from a photo to the graph's input, the same in training and serving."""

    canvas: Literal[480] = 480
    """Side of the square that every photo is resized to, in pixels."""
    fit: Fit = "cover"
    """How a photo becomes the canvas. cover: its centre square. stretch: the whole photo, squashed.
    contain: the whole photo in proportion, with grey (127) around it."""
    size: Side | tuple[Side, Side]
    """Side of the graph's input, or its height and width, in pixels."""
    crop: Annotated[float, Field(gt=0, le=1)]
    """Side of the centre square that is kept, as a share of the canvas."""
    resample: Resample
    """Filter of the resize from the kept square to `size`."""

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        if self.fit == "cover" and self.height != self.width:
            raise ValueError(
                f"an input of {self.height} x {self.width} needs the fit stretch or contain; cover "
                "keeps a square"
            )
        return self

    @property
    def height(self) -> int:
        """Height of the graph's input, in pixels."""
        return self.size if isinstance(self.size, int) else self.size[0]

    @property
    def width(self) -> int:
        """Width of the graph's input, in pixels."""
        return self.size if isinstance(self.size, int) else self.size[1]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a photo in the graph's input: height, width, channels."""
        return self.height, self.width, 3

    def describe_size(self) -> str:
        """Return the height and width, for people."""
        return f"{self.height}x{self.width}"
