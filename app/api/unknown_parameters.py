"""Parameters that a route doesn't have: they are refused, with the nearest known name.

A name that was ignored would change the response in silence: `topk=3` would return five labels.
"""

import textwrap
from collections.abc import Collection
from difflib import get_close_matches
from typing import get_origin

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.errors import BadParameter

_SHOWN_CHARACTERS = 60


async def forbid_unknown_parameters(request: Request) -> None:
    """Check the names in the query; the dependency of every route of the own API.

    Raises:
        BadParameter: the route has no such parameter, or it came twice with different values.
    """
    if not request.scope["query_string"]:
        return
    seen: dict[str, str] = {}
    known = _parameters(request.scope["route"])
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise unknown_name("query parameter", name, known)
        if not known[name] and seen.setdefault(name, value) != value:
            raise BadParameter(
                f"The query parameter {name!r} was sent twice, with different values. Send it once."
            )


def unknown_name(kind: str, name: str, known: Collection[str]) -> BadParameter:
    """Return the error for a parameter or a form field that doesn't exist.

    Args:
        kind: the kind of parameter, for the message.
        name: the name that was sent.
        known: the names that exist.
    """
    shown = textwrap.shorten(name, _SHOWN_CHARACTERS, placeholder="…") or "…"
    folded = {other.replace("_", ""): other for other in known}
    near = get_close_matches(name.lower().replace("-", "").replace("_", ""), folded, 1)
    if near:
        advice = f"Did you mean {folded[near[0]]}?"
    elif known:
        advice = f"Known names: {', '.join(sorted(known))}."
    else:
        advice = "This route has none."
    return BadParameter(f"There is no {kind} {shown!r}. {advice}")


def _parameters(route: APIRoute) -> dict[str, bool]:
    """Return the names of a route's query parameters, and whether each may be repeated.

    Its dependencies have none.
    """
    known: dict[str, bool] = {}
    for parameter in route.dependant.query_params:
        kind = parameter.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, field in kind.model_fields.items():
                known[name] = get_origin(field.annotation) is list
        else:
            known[parameter.alias] = get_origin(kind) is list
    return known
