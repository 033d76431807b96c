"""The README tells the truth: its tables, its help, its curl and its answer."""

import json
import re
import shlex
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import click
import pytest

from app.api.problems import STATUS
from app.cli import main
from app.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def block(after: str) -> str:
    """The first fenced block below the line `after`."""
    found = re.search(re.escape(after) + r".*?```\w*\n(.*?)```", README, re.DOTALL)
    assert found, f"README has no block after {after!r}"
    return found[1].rstrip()


def test_every_setting_stands_in_the_table():
    rows = [
        f"| `HUBEL_{name.upper()}` | {shown(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    missing = [row for row in rows if row not in README]
    assert not missing, "put into README.md:\n" + "\n".join(missing)


def shown(default: object) -> str:
    return "" if default is None else f"`{default}`"


def test_every_status_stands_in_the_table():
    by_status: dict[int, list[str]] = {}
    for kind, status in STATUS.items():
        if status != 499:  # nobody is there to read it
            by_status.setdefault(status, []).append(f"`{kind.code}`")
    rows = [
        f"| {status} {HTTPStatus(status).phrase} | {', '.join(sorted(codes))} |"
        for status, codes in sorted(by_status.items())
    ]
    missing = [row for row in rows if row not in README]
    assert not missing, "put into README.md:\n" + "\n".join(missing)


@pytest.mark.parametrize("name", ["", *main.commands])
def test_the_help_of_each_command_is_what_it_prints(name):
    command = main.commands[name] if name else main
    parent = click.Context(main, info_name="hubel")
    context = click.Context(command, parent, info_name=name) if name else parent
    context.max_content_width = 80
    told = block(f"`hubel {name} --help`" if name else "`hubel --help`")
    assert told == context.get_help().rstrip()


def test_the_curl_of_the_readme_gives_the_answer_of_the_readme(start):
    server = start()
    line = block("Post a photo:").replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    done = subprocess.run(
        shlex.split(line), cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    told, given = json.loads(block("The answer:")), json.loads(done.stdout)
    assert [p["label"] for p in given["predictions"]] == [p["label"] for p in told["predictions"]]
    for ours, theirs in zip(given["predictions"], told["predictions"], strict=True):
        assert ours["probability"] == pytest.approx(theirs["probability"], abs=0.06)
    assert given["image"] == told["image"]


def test_the_commands_of_the_readme_run():
    for line in block("Without a server:").splitlines():
        program, *arguments = shlex.split(line)
        command = [str(Path(sys.executable).with_name(program)), *arguments]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"
