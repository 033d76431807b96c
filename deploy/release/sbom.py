"""Write the software bills of materials: `python deploy/release/sbom.py --output dist`.

requirements/*.txt, with their hashes -> cyclonedx-py -> one CycloneDX file for each image
"""

import argparse
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / ".venv" / "release" / "bin" / "cyclonedx-py"
LOCKS = {"cpu": "serve-cpu", "gpu": "serve-gpu", "train": "train"}
"""Locked requirements by the image that they are installed in."""


def write(
    output: Path,
    version: str,
    commit: str,
    locks: Mapping[str, str] = LOCKS,
    *,
    validate: bool = True,
) -> list[Path]:
    """Write the SBOM of each image, and return the files.

    Args:
        output: a folder, made if it is missing.
        version: that of Hubel.
        commit: the git commit that the images are built of.
        locks: locked requirements by image.
        validate: whether the tool validates what it wrote, which takes most of its time.
    """
    output.mkdir(parents=True, exist_ok=True)
    files = []
    for image, lock in locks.items():
        file = output / f"hubel-{version}-{image}.cdx.json"
        options = ["--pyproject", ROOT / "pyproject.toml", "--mc-type", "application"]
        options += ["--output-reproducible", "--output-format", "JSON", "--output-file", file]
        options += [] if validate else ["--no-validate"]
        command = [TOOL, "requirements", *options, ROOT / "requirements" / f"{lock}.txt"]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        _complete(file, version, commit)
        files.append(file)
    return files


def _complete(file: Path, version: str, commit: str) -> None:
    """Add what the tool can't know: Hubel's version, its commit, and that it needs the rest."""
    bill = json.loads(file.read_text(encoding="utf-8"))
    hubel = bill["metadata"]["component"]
    hubel["version"] = version
    hubel["properties"] = [{"name": "hubel:commit", "value": commit}]
    for component in bill["components"]:
        del component["description"]  # the line of the requirements, hashes included
    needed = sorted(component["bom-ref"] for component in bill["components"])
    others = [each for each in bill["dependencies"] if each["ref"] != hubel["bom-ref"]]
    bill["dependencies"] = [{"ref": hubel["bom-ref"], "dependsOn": needed}, *others]
    file.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")


def current_commit() -> str:
    """Return the commit of the working tree, with `-dirty` if files are changed."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def current_version() -> str:
    """Return the version in app/__init__.py, without importing it."""
    code = (ROOT / "app" / "__init__.py").read_text(encoding="utf-8")
    return code.partition('__version__ = "')[2].partition('"')[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    for file in write(parser.parse_args().output, current_version(), current_commit()):
        print(file)
