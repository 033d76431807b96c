"""Installations that lack a part: the serving image, and a wheel without ONNX Runtime."""

import subprocess
import sys

import pytest

WITHOUT = "import sys; sys.modules[{name!r}] = None; from app.cli import main; main()"


@pytest.fixture
def without():
    """Run a command in an installation without a module."""

    def run(name, *arguments):
        return subprocess.run(
            [sys.executable, "-c", WITHOUT.format(name=name), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_help_without_training_leaves_its_commands_out_and_says_how_to_get_them(without):
    text = without("training", "--help").stdout
    commands, _, epilog = text.partition("This image only serves")
    assert "\n  serve " in commands
    assert "\n  train " not in commands
    assert "\n  import " not in commands
    assert "docker compose run --rm train" in " ".join(epilog.split())


@pytest.mark.parametrize("command", ["train", "import", "calibrate"])
def test_a_command_without_training_says_which_image_has_it(without, command, tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"x")
    sources = {"train": [tmp_path], "import": [model], "calibrate": [tmp_path, tmp_path]}
    done = without("training", command, *sources[command], "--output", tmp_path / "out")
    assert done.returncode == 2
    assert "is not part of the serving image. In Docker, use the image hubel:train" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["serve", "--port", "0"], ["check", "model/imagenet"]], ids=["serve", "check"]
)
def test_a_missing_onnxruntime_is_one_sentence(without, arguments):
    done = without("onnxruntime", *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "Error: ONNX Runtime is not installed. Install one of its builds with Hubel: "
        "pip install 'hubel[cpu]', or 'hubel[gpu]'."
    )
