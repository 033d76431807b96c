"""Write the generated blocks of docs/*.md: `make docs`.

A block stands between `<!-- generated: KIND -->` and `<!-- end -->`. KIND is one of

    settings        the table of all settings, from app/settings.py
    errors          the table of all error codes by status, from app/api/problems.py
    help            the output of `hubel --help`
    help COMMAND    the output of `hubel COMMAND --help`

and hubel.env, which docker-compose.yml reads, has every setting of the service, commented out.

tests/e2e/test_documents.py fails where a page differs from what is written here.
"""

import re
import textwrap
from http import HTTPStatus
from pathlib import Path
from typing import cast

import click

from app.api.problems import STATUS
from app.cli import main
from app.settings import Settings

DOCS = Path(__file__).resolve().parent
ENV_FILE = DOCS.parent / "hubel.env"
SET_BY_COMPOSE = ("host", "port", "models")
BLOCK = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
CLIENT_GONE = 499  # never sent: the client has closed its connection


def render(page: str) -> str:
    """Return the text of a page with all its blocks generated."""
    return BLOCK.sub(lambda match: f"{match[1]}\n{generate(match[2])}\n{match[3]}", page)


def generate(kind: str) -> str:
    """Return the content of a block."""
    if kind == "settings":
        return settings_table()
    if kind == "errors":
        return errors_table()
    return f"```text\n{help_text(kind.removeprefix('help').strip())}\n```\n"


def settings_table() -> str:
    """Return a row for each setting: variable, default, description."""
    rows = [
        f"| `HUBEL_{name.upper()}` | {_shown(field.default)} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    ]
    return "".join(["| variable | default | description |\n", "|---|---|---|\n", *rows])


def env_file() -> str:
    """Return hubel.env: each setting with its description and default, commented out."""
    lines = [
        "# Settings of the service of docker-compose.yml. Remove the # before one to change it.",
        "# docker-compose.yml sets HUBEL_HOST, HUBEL_PORT and HUBEL_MODELS. Paths are those in the",
        "# container. A name that is no setting is reported when the service starts.",
    ]
    for name, field in Settings.model_fields.items():
        if name not in SET_BY_COMPOSE:
            lines += ["", *(f"# {line}" for line in textwrap.wrap(field.description or "", 98))]
            default = "" if field.default is None else str(field.default)
            lines.append(f"#HUBEL_{name.upper()}={default}")
    return "\n".join(lines) + "\n"


def errors_table() -> str:
    """Return a row for each status of an expected error, with its codes."""
    by_status: dict[int, list[str]] = {}
    for error, status in STATUS.items():
        if status != CLIENT_GONE:
            by_status.setdefault(status, []).append(f"`{error.code}`")
    rows = [
        f"| {status} {HTTPStatus(status).phrase} | {', '.join(sorted(codes))} |\n"
        for status, codes in sorted(by_status.items())
    ]
    return "".join(["| status | code |\n", "|---|---|\n", *rows])


def help_text(command: str) -> str:
    """Return the help of `hubel`, or of one of its commands, 80 columns wide."""
    context = click.Context(main, info_name="hubel")
    if command:
        for name in command.split():
            group = cast(click.Group, context.command)
            context = click.Context(group.commands[name], context, info_name=name)
    context.max_content_width = 80
    return context.get_help().rstrip()


def _shown(default: object) -> str:
    return "" if default is None else f"`{default}`"


if __name__ == "__main__":
    for path in sorted(DOCS.glob("*.md")):
        path.write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8")
    ENV_FILE.write_text(env_file(), encoding="utf-8")
