"""Labelled photos calibrate an imported multi-label model and choose its thresholds."""

import numpy as np
import pytest
from onnx import helper
from PIL import Image
from scipy.special import expit, logit

from training.importing import label_decisions

LABELS = ("red", "green", "blue")


@pytest.fixture
def labelled(tmp_path):
    """Forty photos of noise in some colour, whose labels have little to do with the model."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(3)
    lines = ["file,labels"]
    for index in range(40):
        has = rng.random(3) < [0.5, 0.3, 0.7]
        pixels = rng.normal(60 + 120 * has, 30, (48, 48, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
        lines.append(f"{index}.png,{';'.join(np.array(LABELS)[has])}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def _without_head(model):
    """Put a Tanh before the sigmoids, so that no linear head is recognised."""
    sigmoid = next(node for node in model.graph.node if node.op_type == "Sigmoid")
    place = list(model.graph.node).index(sigmoid)
    model.graph.node.insert(place, helper.make_node("Tanh", [sigmoid.input[0]], ["bounded"]))
    sigmoid.input[0] = "bounded"


@pytest.mark.parametrize("change", [None, _without_head], ids=["head", "no-head"])
def test_each_label_gets_a_scale_an_offset_and_a_threshold(
    saved, imported, outputs_of, labelled, change
):
    file = saved(change, end="Sigmoid")
    before = outputs_of(imported(file))
    bundle = imported(file, "--calibrate", labelled)
    manifest = bundle.manifest
    scales, offsets = (
        np.array(v) for v in (manifest.calibration.scales, manifest.calibration.offsets)
    )
    assert outputs_of(bundle) == pytest.approx(expit(logit(before) * scales + offsets), abs=1e-3)
    assert len(manifest.thresholds) == len(manifest.undecided) == 3
    assert manifest.metrics["fp32"].on == "photos; ECE cross-fitted"
    assert manifest.calibration.ece_after < manifest.calibration.ece_before
    page = (bundle.folder / "report/index.html").read_text(encoding="utf-8")
    assert "Labels that occur together" in page
    assert "Without the calibration" in page


def test_the_log_odds_of_saturated_probabilities_are_finite():
    rows = np.array([[0.0, 1.0, 0.5]], np.float32)
    found = label_decisions.log_odds(rows)
    assert np.isfinite(found).all()
    assert found[0, 2] == 0
