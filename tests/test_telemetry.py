"""ONNX Runtime's telemetry is off before it can be imported, whatever is run first."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
VARIABLE = "ORT_DISABLE_TELEMETRY"

# The process ends when onnxruntime is about to be imported, so nothing of it is loaded here.
WATCHED = f"""
import importlib, os, runpy, sys
def end_at_onnxruntime(event, arguments):
    if event == "import" and arguments[0].partition(".")[0] == "onnxruntime":
        print(os.environ.get({VARIABLE!r}), flush=True)
        os._exit(0)
sys.addaudithook(end_at_onnxruntime)
"""


def _imports_onnxruntime(text: str) -> bool:
    """Whether a statement anywhere in a file, functions included, imports onnxruntime."""
    names: list[str] = []
    for node in ast.walk(ast.parse(text)) if "onnxruntime" in text else ():
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(node.module or "")
    return any(name.partition(".")[0] == "onnxruntime" for name in names)


TEXTS = {
    file.relative_to(REPOSITORY): file.read_text(encoding="utf-8")
    for part in ("app", "training", "benchmarks")
    for file in sorted((REPOSITORY / part).rglob("*.py"))
}
IMPORTING = [file for file, text in TEXTS.items() if _imports_onnxruntime(text)]
SCRIPTS = [file for file in IMPORTING if '__name__ == "__main__"' in TEXTS[file]]


def _run(code: str, *arguments: str, **environment: str) -> str:
    """Run `code` in a process that has not inherited the variable, and return what it prints."""
    inherited = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED + code, *arguments],
        cwd=REPOSITORY,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_files_that_import_onnxruntime_are_found():
    assert Path("app/runtime/ort.py") in IMPORTING
    assert Path("training/int8/quantize.py") in IMPORTING  # inside a function
    assert Path("benchmarks/sessions.py") in SCRIPTS


@pytest.mark.parametrize("file", IMPORTING, ids=str)
def test_telemetry_is_off_when_a_module_is_the_first_to_be_imported(file):
    code = f"""
importlib.import_module(sys.argv[1])
print(os.environ.get({VARIABLE!r}))
"""
    assert _run(code, ".".join(file.with_suffix("").parts)) == "1"


# Of the tests, conftest.py is imported first.
@pytest.mark.parametrize("file", [*SCRIPTS, Path("tests/conftest.py")], ids=str)
def test_telemetry_is_off_when_a_file_is_run_by_its_path(file):
    code = """
sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[1]))
sys.path.insert(1, os.getcwd())  # for the packages
runpy.run_path(sys.argv[1])
"""
    assert _run(code, str(file)) == "1"


@pytest.mark.parametrize("value", ["0", "1", ""])
def test_the_value_that_a_user_has_set_stays(value):
    code = "import app.runtime.session; print('onnxruntime was not imported')"
    assert _run(code, **{VARIABLE: value}) == value


def test_the_image_has_telemetry_off():
    assert f"{VARIABLE}=1" in (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
