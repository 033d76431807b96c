"""A release changes version, changelog and example together, and refuses what isn't ready."""

import importlib
import json
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RELEASE = REPOSITORY / "deploy" / "release"
CHANGES = """# Changelog

## [Unreleased]

### Added

- Wings.

### Upgrade

Nothing has to be done.

## [0.1.0] - 2026-01-01

- Legs.
"""


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(RELEASE))
    return {name: importlib.import_module(name) for name in ("release", "sbom")}


@pytest.fixture
def repository(tmp_path):
    """A small repository of version 0.1.0 with the files that a release changes."""
    files = {
        "app/__init__.py": '__version__ = "0.1.0"\n',
        "CHANGELOG.md": CHANGES,
        "deploy/kubernetes/example/kustomization.yaml": "images:\n  - newTag: 0.1.0\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "config", "user.name", "A")
    git(tmp_path, "config", "user.email", "a@example.com")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Legs")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(modules, repository, capsys):
    before = git(repository, "rev-parse", "HEAD")
    modules["release"].main(["0.2.0", "--dry-run"], repository)
    printed = capsys.readouterr().out
    assert "Would change app/__init__.py, CHANGELOG.md, deploy/kubernetes" in printed
    assert "--tag hubel:0.2.0-gpu --target serve --build-arg DEVICE=gpu" in printed
    assert git(repository, "rev-parse", "HEAD") == before
    assert git(repository, "status", "--porcelain") + git(repository, "tag") == ""


def test_a_release_commits_tags_and_builds(modules, repository):
    built = []
    modules["release"].main(
        ["0.2.0", "--no-images"], repository, lambda *values, **options: built.append(values)
    )
    commit = git(repository, "rev-parse", "HEAD")
    assert built == [(repository, "0.2.0", commit)]
    assert git(repository, "rev-parse", "v0.2.0^{commit}") == commit
    assert git(repository, "status", "--porcelain") == ""
    assert (repository / "app/__init__.py").read_text() == '__version__ = "0.2.0"\n'
    changelog = (repository / "CHANGELOG.md").read_text()
    headings = [line for line in changelog.splitlines() if line.startswith("## ")]
    assert headings[0] == "## [Unreleased]"
    assert headings[1].startswith("## [0.2.0] - 20")
    assert headings[2] == "## [0.1.0] - 2026-01-01"
    assert changelog.index("## [0.2.0]") < changelog.index("- Wings.")
    with pytest.raises(SystemExit, match="no unreleased entries"):
        modules["release"].main(["0.3.0"], repository)


@pytest.mark.parametrize(
    ("arguments", "change", "message"),
    [
        (["0.2.0"], {"new.txt": ""}, "There are changed files. Commit or remove them first"),
        (["0.1.0"], {}, "0.1.0 is the present version. Give a higher one"),
        (["0.0.9"], {}, "0.1.0 is the present version. Give a higher one"),
        (["next"], {}, "next is no version. Give three numbers, such as 0.2.0."),
        (["0.2.0"], {"CHANGELOG.md": CHANGES.replace("- Wings.", "")}, "no unreleased entries"),
        (["0.2.0"], {"CHANGELOG.md": CHANGES.replace("### Upgrade", "")}, "no upgrade note"),
    ],
    ids=["changed files", "same version", "lower version", "no version", "no entries", "no note"],
)
def test_a_release_that_is_not_ready_is_refused(modules, repository, arguments, change, message):
    for name, text in change.items():
        (repository / name).write_text(text)
        if name == "CHANGELOG.md":
            git(repository, "commit", "--quiet", "--all", "--message", "Changes")
    with pytest.raises(SystemExit, match=message):
        modules["release"].main(arguments, repository)


def test_the_next_release_of_this_repository_is_ready(modules):
    """Its changelog has an upgrade note, and all places state the same version."""
    version = modules["sbom"].current_version()
    example = (REPOSITORY / "deploy/kubernetes/example/kustomization.yaml").read_text()
    assert f"newTag: {version}\n" in example
    higher = f"{int(version.partition('.')[0]) + 1}.0.0"
    assert set(modules["release"].prepare(REPOSITORY, higher, "2026-01-01")) == {
        "app/__init__.py",
        "CHANGELOG.md",
        "deploy/kubernetes/example/kustomization.yaml",
    }


def test_the_sbom_has_the_locked_packages_and_the_commit(modules, tmp_path):
    if not modules["sbom"].TOOL.exists():
        pytest.skip("make .venv/.release installs cyclonedx-py")
    locks = {"cpu": "serve-cpu"}
    (file,) = modules["sbom"].write(tmp_path, "0.2.0", "abc", locks, validate=False)
    bill = json.loads(file.read_text())
    assert (bill["bomFormat"], file.name) == ("CycloneDX", "hubel-0.2.0-cpu.cdx.json")
    hubel = bill["metadata"]["component"]
    assert (hubel["name"], hubel["version"]) == ("hubel", "0.2.0")
    assert hubel["properties"] == [{"name": "hubel:commit", "value": "abc"}]
    lock = (REPOSITORY / "requirements/serve-cpu.txt").read_text()
    named = {f"{each['name']}=={each['version']}" for each in bill["components"]}
    assert named == {
        line.split()[0] for line in lock.splitlines() if "==" in line and line[0] != " "
    }
    assert all(each["externalReferences"][0]["hashes"] for each in bill["components"])


def test_vulnerabilities_are_looked_for_only_where_the_data_are(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(RELEASE))
    data = importlib.import_module("vulnerability_data")
    (tmp_path / "pillow").mkdir()
    (version,) = re.findall(r"^pillow==(\S+)", data.LOCK.read_text(), re.M)
    answer = tmp_path / "pillow" / version
    url = f"file://{tmp_path}/{{}}"
    assert data.reachable(url) is False
    for content, expected in (('{"vulnerabilities": []}', True), ("{}", False), ("<p>", False)):
        answer.write_text(content)
        assert data.reachable(url) is expected
