"""The recipes by name, each with its own options."""

import importlib.util
from typing import Any, Literal

from training.contracts import Recipe
from training.errors import DataUnusable
from training.networks import pretrained_weights
from training.recipes.backbone import BUILT_IN, find_backbone
from training.recipes.head import HeadRecipe

RecipeName = Literal["head", "finetune", "scratch"]
_OPTIONS: dict[RecipeName, frozenset[str]] = {
    "head": frozenset({"backbone", "quality", "embed"}),
    "finetune": frozenset({"backbone", "epochs", "device", "resume"}),
    "scratch": frozenset({"network", "size", "epochs", "device", "resume"}),
}


def make_recipe(name: RecipeName, **options: Any) -> Recipe:
    """Return the recipe `name` with `options`; an option that is None keeps its default.

    Raises:
        DataUnusable: the recipe has no such option, can't have that value, or needs a package that
            is not installed; or the backbone can't be used.
    """
    given = {option: value for option, value in options.items() if value is not None}
    _check_options(name, given)
    if name == "finetune":
        _require_built_in(given.get("backbone", "lite0"))
    if name == "head":
        backbone = find_backbone(given.pop("backbone", "lite0"))
        return HeadRecipe(backbone, **given)
    if importlib.util.find_spec("torch") is None:
        raise DataUnusable(
            f"The recipe {name} needs torch. Run make setup-torch, or install the `torch` extra."
        )
    if name == "finetune":
        pretrained_weights.require_installed(given.get("backbone", "lite0"))
        from training.recipes.finetune import FinetuneRecipe

        spec = find_backbone(given.get("backbone", "lite0")).input
        return FinetuneRecipe(**given, input=spec)
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


def _require_built_in(backbone: str) -> None:
    """Reject a bundle, whose layers can't be trained in PyTorch.

    Raises:
        DataUnusable: it is no backbone with published weights.
    """
    if backbone not in BUILT_IN:
        raise DataUnusable(
            f"finetune trains the layers of {' and '.join(BUILT_IN)} alone, not those of a bundle. "
            f"Name one of them, or train with --recipe head --backbone {backbone}."
        )
