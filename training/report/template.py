"""The parts that all reports share: the environment of their templates, the style, the origin."""

import base64
import functools
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from app.bundle import Manifest

_TERMS = {"strength": "C, inverse regularisation strength"}
"""The terms for arguments whose names in bundle.json are others."""
_TYPEFACES = {"Newsreader": "newsreader", "Hanken Grotesk": "hanken-grotesk"}
"""The typefaces of the service's page, by family, and their files in app/web/dress."""


_HERE = Path(__file__).parent


@functools.cache  # compiling takes longer than rendering
def template(name: str) -> Template:
    """Return a template of this folder, which escapes all text of the data."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, plain=_plain)
    return environment.get_template(name)


def style() -> Markup:
    """Return the style sheet of the page, with its typefaces."""
    return Markup(_typefaces() + (_HERE / "page.css").read_text(encoding="utf-8"))


def _typefaces() -> str:
    """Return the rules that put the typefaces into the page, as data: URIs."""
    dress = files("app") / "web" / "dress"
    return "".join(
        f'@font-face {{ font-family: "{family}"; font-weight: 400 700; '
        f'src: url("data:font/woff2;base64,'
        f'{base64.b64encode((dress / f"{name}.woff2").read_bytes()).decode()}"); }}\n'
        for family, name in _TYPEFACES.items()
    )


def origin(manifest: Manifest) -> dict[str, Any]:
    """Return the origin of the model, without the time: the same seed gives the same report."""
    training = manifest.training
    arguments = {_TERMS.get(name, name): _text(value) for name, value in training.arguments.items()}
    rows = {
        "recipe": training.recipe,
        **arguments,
        "seed": training.seed,
        "fingerprint of the photos": training.data,
        "versions": ", ".join(f"{name} {version}" for name, version in training.versions.items()),
        "git commit": training.git_commit,
    }
    return {name: value for name, value in rows.items() if value not in (None, "", "None")}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _percent(share: float | None, digits: int = 1) -> str:
    return "-" if share is None else f"{100 * share:.{digits}f}\u00a0%"


def _plain(count: int) -> str:
    return f"{count:,}"
