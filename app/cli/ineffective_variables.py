"""Variables of the environment that begin with HUBEL_ and have no effect, for warnings."""

import re
from collections.abc import Mapping
from difflib import get_close_matches

from app.settings import PREFIX, SHELL_PREFIX, Settings

_NOT_OF_THE_SERVICE = re.compile(r"PHOTOS|TEST_PHOTOS|SHELL_.*|SERVICE_(HOST|PORT).*|PORT_\d+_.*")
"""Other variables that begin with the prefix: of docker-compose.yml, of the tests, and those that
Kubernetes sets for a Service named `hubel`."""


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable that looks like a setting and is none.

    Args:
        environment: the values of variables by name.
    """
    known = [name.upper() for name in Settings.model_fields]
    sentences = []
    for variable, value in sorted(environment.items()):
        prefix, name = variable[: len(PREFIX)].upper(), variable[len(PREFIX) :].upper()
        if prefix != PREFIX or not value or name in known or _NOT_OF_THE_SERVICE.fullmatch(name):
            continue
        nearest = get_close_matches(name, known, 1)
        advice = (
            f"Did you mean {PREFIX}{nearest[0]}?" if nearest else "docs/settings.md lists them all."
        )
        sentences.append(f"{variable} is not a setting, so it has no effect. {advice}")
    return sentences


def variables_without_effect(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable of compose's shell that hubel.env overrides.

    Args:
        environment: the values of variables by name.
    """
    sentences = []
    for variable, value in sorted(environment.items()):
        name = PREFIX + variable.removeprefix(SHELL_PREFIX)
        if variable.startswith(SHELL_PREFIX) and value and environment.get(name, value) != value:
            sentences.append(
                f"{name} of the shell has no effect: hubel.env has another. Change it there."
            )
    return sentences
