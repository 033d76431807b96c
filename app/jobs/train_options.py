"""The options of `hubel train` that a job may set, with the names and limits that they have there.

Options that name files, devices or the bundle's place are left out: the service sets them itself.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Recipe = Literal["head", "finetune", "scratch"]
_OF_RECIPES: dict[str, tuple[Recipe, ...]] = {
    "network": ("scratch",),
    "size": ("scratch",),
    "backbone": ("head", "finetune"),
    "quality": ("head",),
    "epochs": ("finetune", "scratch"),
}
"""The recipes that have an option, where not all have it."""


class TrainOptions(BaseModel):
    """Options of `hubel train`; null: its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_photos: Annotated[
        int | None, Field(ge=3, description="Different photos that each class must have.")
    ] = None
    skip_small: Annotated[
        bool, Field(description="Whether classes with fewer photos are left out.")
    ] = False
    task: Literal["single_label", "multi_label"] | None = None
    fit: Literal["cover", "stretch", "contain", "auto"] | None = None
    network: Annotated[
        Literal["textbook", "fast"] | None, Field(description="Network of scratch.")
    ] = None
    size: Annotated[
        int | None, Field(ge=8, le=480, description="Side of the input of scratch.")
    ] = None
    backbone: Annotated[
        Literal["lite0", "lite2"] | None, Field(description="Network of head and finetune.")
    ] = None
    quality: Annotated[Literal["fast", "best"] | None, Field(description="Effort of head.")] = None
    epochs: Annotated[
        int | None, Field(ge=1, le=10_000, description="Epochs of finetune and scratch.")
    ] = None
    accept_precision: Annotated[
        float | None,
        Field(ge=0.5, lt=1, description="Share of accepted predictions that must be right."),
    ] = None
    accept_per_class: bool | None = None
    seed: Annotated[int | None, Field(ge=0, le=2**32 - 1)] = None

    @model_validator(mode="after")
    def _check_promise(self) -> Self:
        if self.accept_per_class and self.accept_precision is None:
            raise ValueError("accept_per_class needs accept_precision, such as 0.99")
        return self

    def check_recipe(self, recipe: Recipe) -> None:
        """Check that `recipe` has the options that are set.

        Raises:
            ValueError: it hasn't.
        """
        for name, recipes in _OF_RECIPES.items():
            if getattr(self, name) is not None and recipe not in recipes:
                raise ValueError(
                    f"{name} is for the recipe {' and '.join(recipes)}, not for {recipe}"
                )

    def arguments(self) -> list[str]:
        """Return the options as they stand on the command line."""
        arguments = []
        for name, value in self.model_dump(exclude_none=True).items():
            option = f"--{name.replace('_', '-')}"
            if name == "accept_per_class":
                arguments.append(option if value else "--no-accept-per-class")
            elif isinstance(value, bool):
                arguments += [option] if value else []
            else:
                arguments += [option, str(value)]
        return arguments
