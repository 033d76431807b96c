"""The options of an import: `hubel import` reads them as they were meant."""

import pytest
from pydantic import ValidationError

from app.cli.import_ import PRESETS, import_
from app.jobs.import_options import ImportRequest, Preset

GIVEN = {"upload": "0" * 32, "model": "pets", "labels": ["cat", "dog"]}


def test_hubel_import_reads_the_options(tmp_path):
    (tmp_path / "m.onnx").touch()
    (tmp_path / "l.json").touch()
    options = {
        "size": (192, 320),
        "preset": "torchvision",
        "mean": (0.5, -1.0, 2e-5),
        "std": (0.5, 0.25, 1.0),
        "pixel_range": 255,
        "channels": "bgr",
        "layout": "nhwc",
        "fit": "contain",
        "crop": 0.875,
        "resample": "bicubic",
        "output_kind": "logits",
        "output_name": "--odd",
        "task": "single_label",
    }
    arguments = [
        *(str(tmp_path / "m.onnx"), "--labels", str(tmp_path / "l.json")),
        *("--output", str(tmp_path / "out")),
        *ImportRequest(**GIVEN, **options).arguments(),
    ]
    read = import_.make_context("import", arguments).params
    assert {name: read[name] for name in options} == {**options, "pixel_range": "255"}
    square = ImportRequest(**GIVEN, size=224).arguments()
    assert square == ["--size", "224x224"]
    assert ImportRequest(**GIVEN).arguments() == []


def test_the_presets_are_those_of_hubel_import():
    assert Preset.__args__ == PRESETS


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": []},
        {"labels": ["cat", "CAT"]},
        {"labels": ["a\nb"]},
        {"upload": "../x"},
        {"mean": (1, 2)},
        {"mean": (float("nan"), 0, 0)},
        {"std": (0, 1, 1)},
        {"size": 0},
        {"crop": 0},
    ],
)
def test_other_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        ImportRequest(**{**GIVEN, **wrong})
