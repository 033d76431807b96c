"""The documents state the truth: generated blocks, commands, responses, links and paths."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote
from urllib.request import urlopen

import numpy as np
import pytest

from app import bundle
from app.api.problems import STATUS
from app.cli import main
from app.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("docs", "app", "training", "tests", "benchmarks", "deploy")
TEMPLATES = REPOSITORY / "training" / "packaging" / "cards"
PAGES = sorted(
    page
    for pages in (REPOSITORY.glob("*.md"), *((REPOSITORY / f).rglob("*.md") for f in FOLDERS))
    for page in pages
    if TEMPLATES not in page.parents
)
LOGS = ("CHANGELOG.md", "docs/experiments.md")
"""Pages about the past: they may name files and modules that are gone."""
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
GENERATOR = runpy.run_path(str(REPOSITORY / "docs" / "generate.py"))

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
REPOSITORY_PATH = re.compile(r"(?<![\w./-])(?:app|training|tests|benchmarks|docs)(?:/[\w.-]+)+/?")
MODULE_COMMAND = re.compile(r"python[\d.]* -m ((?:app|training|tests|benchmarks)[\w.]*)")


def name_of(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def block(page: str, after: str) -> str:
    """Return the first fenced block below the line `after`."""
    match = re.search(re.escape(after) + r".*?```\w*\n(.*?)```", page, re.DOTALL)
    assert match, f"there is no block after {after!r}"
    return match[1].rstrip()


def without_code(page: str) -> str:
    return re.sub(r"```.*?```", "", page, flags=re.DOTALL)


# Generated blocks


def test_the_tables_and_the_help_are_generated():
    pages = {"docs/settings.md": "settings", "docs/api.md": "errors"}
    for page, block in pages.items():
        assert f"<!-- generated: {block} -->" in (REPOSITORY / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", sorted((REPOSITORY / "docs").glob("*.md")), ids=name_of)
def test_generated_blocks_are_up_to_date(page):
    text = page.read_text(encoding="utf-8")
    assert GENERATOR["render"](text) == text, "run make docs"


def test_hubel_env_has_every_setting_commented_out():
    text = text_of("hubel.env")
    assert text == GENERATOR["env_file"](), "run make docs"
    assert all(line.startswith("#") for line in text.splitlines() if line)
    named = {line[1:].partition("=")[0] for line in text.splitlines() if line.startswith("#HUBEL_")}
    by_compose = {"HUBEL_HOST", "HUBEL_PORT", "HUBEL_MODELS"}
    assert named | by_compose == {f"HUBEL_{name.upper()}" for name in Settings.model_fields}


def test_every_setting_stands_in_the_table():
    page = text_of("docs/settings.md")
    assert all(f"| `HUBEL_{name.upper()}` |" in page for name in Settings.model_fields)


def test_every_error_code_stands_in_the_table():
    page = text_of("docs/api.md")
    codes = [error.code for error, status in STATUS.items() if status != 499]
    assert [code for code in codes if f"`{code}`" not in page] == []


@pytest.mark.parametrize("command", ["", *main.commands])
def test_the_help_of_each_command_stands_in_the_documents(command):
    help_text = GENERATOR["help_text"](command)
    assert help_text.startswith(f"Usage: hubel {command}".rstrip())
    assert f"```text\n{help_text}\n```" in text_of("docs/cli.md")


# Commands and their responses


def test_the_curl_of_the_readme_gives_the_response_of_the_readme(start):
    server = start()
    port = f"127.0.0.1:{server.port}"
    command = block(README, "Post a photo:").replace("127.0.0.1:8000", port)
    done = subprocess.run(
        shlex.split(command), cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    expected, actual = json.loads(block(README, "The response:")), json.loads(done.stdout)
    with urlopen(f"http://{port}/api/v1/models/imagenet") as response:
        precision = json.load(response)["precision"]
    golden, tolerance = golden_probabilities("chelsea.jpg", precision)
    for prediction in actual["predictions"]:
        probability = prediction.pop("probability")
        assert probability == pytest.approx(golden[prediction["index"]], abs=tolerance)
    golden, _ = golden_probabilities("chelsea.jpg", "int8")
    for prediction in expected["predictions"]:
        probability = prediction.pop("probability")
        assert probability == pytest.approx(golden[prediction["index"]], abs=1e-6)
    assert actual == expected


def golden_probabilities(photo: str, precision: bundle.Precision) -> tuple[np.ndarray, float]:
    """Return the stored probabilities (K,) of a golden photo, and their tolerance."""
    imagenet = bundle.load(REPOSITORY / "model" / "imagenet")
    golden = imagenet.manifest.golden
    row = [each.file for each in golden.photos].index(f"golden/{photo}")
    rows = np.load(imagenet.path(golden.expected[precision]))
    return rows[row], golden.photos[row].tolerance[precision]


@pytest.mark.parametrize("after", ["without a server:", "lists the checks):"])
def test_the_commands_of_the_documents_run(after):
    for line in block(text_of("docs/cli.md"), after).splitlines():
        program, *arguments = shlex.split(line)
        command = [str(Path(sys.executable).with_name(program)), *arguments]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_in_the_documents_exist(page):
    targets = re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE)
    text = page.read_text(encoding="utf-8")
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    named = re.findall(r"^make ([a-z-]+)", shell, re.MULTILINE)
    named += re.findall(r"`make ([a-z-]+)", text)
    assert sorted(set(named) - set(targets)) == []


# Links and paths


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, by GitHub's rule."""
    seen: Counter[str] = Counter()
    result = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", without_code(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        result.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return result


def broken_links(page: Path) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    for link in LINK.findall(without_code(text)):
        if re.match(r"[a-z]+:", link):
            continue  # tests need no network
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not target.is_relative_to(REPOSITORY):
            yield f"{link}: there is no such file"
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            yield f"{link}: there is no such heading"


def test_anchors_follow_githubs_rule():
    page = "# A `b`: [c-d](e), f_g!\n```sh\n# no heading\n```\n## Same\n## Same\n"
    assert anchors(page) == {"a-b-c-d-f_g", "same", "same-1"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings(page):
    assert list(broken_links(page)) == []


@pytest.mark.parametrize("page", [page for page in PAGES if name_of(page) not in LOGS], ids=name_of)
def test_paths_and_modules_in_the_documents_exist(page):
    text = page.read_text(encoding="utf-8")
    paths = {path.rstrip("./") for path in REPOSITORY_PATH.findall(text)}
    assert sorted(path for path in paths if not (REPOSITORY / path).exists()) == []
    fenced = "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL))
    modules = {module.rstrip(".") for module in MODULE_COMMAND.findall(fenced)}
    assert sorted(module for module in modules if find_spec(module) is None) == []


def tree_paths(tree: str) -> Iterator[str]:
    """Yield the paths of an annotated tree: names, two spaces, a description.

    A name's indentation is its depth; a line may have several names. A description that goes on
    in the next line is indented deeper than any name.
    """
    folders: list[tuple[int, str]] = []
    for line in tree.splitlines():
        indentation = len(line) - len(line.lstrip())
        if indentation > 12 or not line.strip():
            continue
        folders = [folder for folder in folders if folder[0] < indentation]
        above = folders[-1][1] if folders else ""
        for name in re.split(r" {2,}", line.strip())[0].split():
            yield above + name
            if name.endswith("/"):
                folders.append((indentation, above + name))


def test_the_tree_of_the_architecture_is_that_of_the_repository():
    paths = list(tree_paths(block(text_of("docs/architecture.md"), "## The tree")))
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []
    packages = {
        f"{name_of(package.parent)}/"
        for root in ("app", "training")
        for package in (REPOSITORY / root).rglob("__init__.py")
    }
    assert sorted(packages - set(paths)) == []


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 140
