"""Make a release: `make release ARGS=0.2.0`, or ARGS="0.2.0 --dry-run" to see what it would do.

refuse: changed files, a version that isn't higher, a changelog without entries or upgrade note
  -> app/__init__.py, CHANGELOG.md, the example's image tag -> a commit and the tag v0.2.0
  -> dist/: the wheel, an SBOM for each image -> the images, labelled with version and commit
Nothing is pushed.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import sbom

VERSION_FILE = "app/__init__.py"
CHANGELOG = "CHANGELOG.md"
EXAMPLE = "deploy/kubernetes/example/kustomization.yaml"
UNRELEASED = "## [Unreleased]\n"
UPGRADE = "### Upgrade\n"
IMAGES = {
    "hubel": ("--target", "serve"),
    "hubel:gpu": ("--target", "serve", "--build-arg", "DEVICE=gpu"),
    "hubel:train": ("--target", "train"),
}


class RefusedError(Exception):
    """The release can't be made; the message says what to do first."""


def prepare(root: Path, version: str, day: str) -> dict[str, str]:
    """Return the changed files of a release by path.

    Raises:
        RefusedError: the version is no later one, or the changelog isn't ready.
    """
    code = (root / VERSION_FILE).read_text(encoding="utf-8")
    before = re.findall(r'^__version__ = "(.*)"$', code, re.M)[0]
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise RefusedError(f"{version} is no version. Give three numbers, such as 0.2.0.")
    released = "## [" + before + "]" in (root / CHANGELOG).read_text(encoding="utf-8")
    if _numbers(version) < _numbers(before) or (released and version == before):
        raise RefusedError(f"{before} is the present version. Give a higher one than {version}.")
    example = (root / EXAMPLE).read_text(encoding="utf-8")
    return {
        VERSION_FILE: code.replace(f'__version__ = "{before}"', f'__version__ = "{version}"'),
        CHANGELOG: _changelog((root / CHANGELOG).read_text(encoding="utf-8"), version, day),
        EXAMPLE: re.sub(r"newTag: \S+", f"newTag: {version}", example),
    }


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _changelog(text: str, version: str, day: str) -> str:
    """Return the changelog with the unreleased entries under a heading of their own."""
    before, _, rest = text.partition(UNRELEASED)
    entries = rest.partition("\n## ")[0]
    if not re.search(r"^- ", entries, re.M):
        raise RefusedError(f"{CHANGELOG} has no unreleased entries. Add what changed.")
    if UPGRADE not in entries:
        raise RefusedError(
            f"{CHANGELOG} has no upgrade note. Add a section '{UPGRADE.strip()}' to the unreleased "
            "entries, which says what has to be done, or that nothing has."
        )
    return f"{before}{UNRELEASED}\n## [{version}] - {day}\n{rest}"


def git(root: Path, *arguments: str) -> str:
    """Run git, and return its output."""
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def check_tree(root: Path, version: str) -> None:
    """Check that nothing is uncommitted and the tag is new.

    Raises:
        RefusedError: otherwise.
    """
    if changed := git(root, "status", "--porcelain"):
        raise RefusedError(f"There are changed files. Commit or remove them first:\n{changed}")
    if git(root, "tag", "--list", f"v{version}"):
        raise RefusedError(f"The tag v{version} exists. Give a higher version.")


def commands(version: str, commit: str, *, images: bool) -> list[list[str]]:
    """Return the commands that build the wheel and the images."""
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    built = [[*wheel, "--wheel-dir", "dist", "."]]
    for image, options in IMAGES.items() if images else ():
        name, _, variant = image.partition(":")
        tag = f"{name}:{version}" + (f"-{variant}" if variant else "")
        labels = ["--build-arg", f"VERSION={version}", "--build-arg", f"COMMIT={commit}"]
        built.append(["docker", "build", "--tag", image, "--tag", tag, *options, *labels, "."])
    return built


def build(root: Path, version: str, commit: str, *, images: bool) -> None:
    """Build dist/ and the images."""
    shutil.rmtree(root / "dist", ignore_errors=True)
    sbom.write(root / "dist", version, commit)
    for command in commands(version, commit, images=images):
        subprocess.run(command, cwd=root, check=True)


def commit_and_tag(root: Path, version: str, files: Mapping[str, str]) -> str:
    """Write the changed files, commit and tag them, and return the commit."""
    for path, text in files.items():
        (root / path).write_text(text, encoding="utf-8")
    git(root, "commit", "--quiet", "--message", f"Version {version}", "--", *files)
    git(root, "tag", "--annotate", f"v{version}", "--message", f"Version {version}")
    return git(root, "rev-parse", "HEAD")


def main(
    arguments: Sequence[str] | None = None,
    root: Path = sbom.ROOT,
    builder: Callable[..., None] = build,
) -> None:
    """Run the command in the repository `root`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="such as 0.2.0")
    parser.add_argument("--dry-run", action="store_true", help="change nothing")
    parser.add_argument("--no-images", action="store_true", help="build no images")
    options = parser.parse_args(arguments)
    version, images = options.version, not options.no_images
    try:
        check_tree(root, version)
        files = prepare(root, version, datetime.now(UTC).date().isoformat())
    except RefusedError as err:
        sys.exit(str(err))
    if options.dry_run:
        print(f"Would change {', '.join(files)}; commit; tag v{version}; and build:")
        print(f"  CycloneDX files of {', '.join(sbom.LOCKS)}")
        for command in commands(version, "COMMIT", images=images):
            print("  " + " ".join(command))
        return
    builder(root, version, commit_and_tag(root, version, files), images=images)
    print(f"Version {version} is in dist/. To publish it: git push --follow-tags")


if __name__ == "__main__":
    main()
