"""A wheel, in an environment of its own, beside packages of the user's with the same names."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ("app", "hubel", "model", "training", "LICENSE", "README.md", "pyproject.toml", "setup.py")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that pip builds from a copy of the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for part in PARTS:
        path = REPOSITORY / part
        if path.is_dir():
            shutil.copytree(path, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / part)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", folder]
    pip(sys.executable, "wheel", *options, source)
    [file] = folder.glob("*.whl")
    return file


def pip(python, *arguments):
    command = [sys.executable, "-m", "pip", "--python", python, *arguments]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def hubel(wheel, tmp_path_factory):
    """Return a function that runs the installed command in the user's folder."""
    folder = tmp_path_factory.mktemp("user")
    environment = folder / "environment"
    venv.create(environment)
    python = environment / "bin" / "python"
    # The dependencies come from this environment; its editable install of Hubel does not.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = environment / "lib" / version / "site-packages"
    (own / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    pip(python, "install", "--no-deps", "--no-index", "--quiet", wheel)
    project = folder / "project"
    for name in ("app", "training", "model"):
        (project / name).mkdir(parents=True)
        (project / name / "__init__.py").write_text("raise SystemExit('the user\\'s module')\n")

    def run(*arguments):
        command = [str(environment / "bin" / "hubel"), *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=project,
            env={"PYTHONPATH": str(project), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_wheel_has_one_package_with_code_pages_and_the_default_bundle(wheel):
    names = ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"hubel", f"{wheel_stem(wheel)}.dist-info"}
    in_repository = {
        path.relative_to(REPOSITORY).as_posix()
        for part in ("app", "training", "model")
        for path in (REPOSITORY / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    in_wheel = {name.removeprefix("hubel/code/") for name in names if "hubel/code/" in name}
    assert in_wheel == in_repository


def wheel_stem(wheel: Path) -> str:
    return "-".join(wheel.name.split("-")[:2])


def test_the_installed_command_classifies_with_the_default_model(hubel, cat_photo, tmp_path):
    photo = tmp_path / "cat.jpg"
    photo.write_bytes(cat_photo)
    done = hubel("classify", photo, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["predictions"][0]["label"] == "Egyptian cat"


def test_the_installed_command_has_every_command(hubel):
    listed = hubel("--help").stdout
    assert all(f"\n  {name} " in listed for name in ("serve", "train", "import", "check"))


def test_the_installed_command_trains_and_checks(hubel, blob, tmp_path):
    for start, hue in enumerate(("red", "green")):
        (tmp_path / "photos" / hue).mkdir(parents=True)
        for number in range(14):
            photo = blob(hue, 100 * start + number)
            (tmp_path / "photos" / hue / f"{number}.jpg").write_bytes(photo)
    done = hubel("train", tmp_path / "photos", "--output", tmp_path / "models" / "hues")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "models" / "hues" / "report" / "index.html").exists()
    done = hubel("check", tmp_path / "models" / "hues")
    assert done.returncode == 0, done.stderr
