"""Two sessions of one graph: the same answers, one copy of the weights."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from app.runtime import ort
from app.runtime.ort import single_and_multi_threaded, single_threaded
from app.runtime.session import Session


@pytest.fixture(scope="module")
def pixels():
    """(4, 240, 240, 3) uint8."""
    return np.random.default_rng(3).integers(0, 256, (4, 240, 240, 3), np.uint8)


def run(session, images):
    return session.run(["probabilities"], {"image": images})[0]


@pytest.mark.parametrize("file", ["model.onnx", "model.int8.onnx"])
@pytest.mark.parametrize("images", [1, 4])
def test_narrow_and_wide_give_what_the_plain_file_gives(imagenet, pixels, file, images):
    plain = single_threaded(imagenet / file, ort.CPU)
    for session in single_and_multi_threaded(imagenet / file, 3):
        given, wanted = run(session, pixels[:images]), run(plain, pixels[:images])
        assert np.abs(given - wanted).max() < 1e-5


def test_they_run_beside_each_other(imagenet, pixels):
    both = single_and_multi_threaded(imagenet / "model.onnx", 2)
    wanted = [run(both[0], pixels[i : i + 1]) for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(lambda i: run(both[i % 2], pixels[i // 2 % 4][None]), range(32)))
    for i, answer in enumerate(given):
        assert np.abs(answer - wanted[i // 2 % 4]).max() < 1e-5


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system has no /proc")
def test_the_weights_are_mapped_once_and_leave_no_file(imagenet, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    both = single_and_multi_threaded(imagenet / "model.onnx", 2)
    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if "hubel-" in line]
    inodes = {line.split()[4] for line in lines}
    assert len(inodes) == 1
    assert list(tmp_path.iterdir()) == []
    assert len(both) == 2


def test_without_a_temporary_folder_each_has_its_own_copy(imagenet, pixels, monkeypatch, caplog):
    def refuse(**_):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(ort, "TemporaryDirectory", refuse)
    one, other = single_and_multi_threaded(imagenet / "model.onnx", 2)
    assert np.abs(run(one, pixels[:1]) - run(other, pixels[:1])).max() < 1e-5
    assert "held in memory twice" in caplog.text


def test_without_room_for_the_weights_each_has_its_own_copy(imagenet, pixels, monkeypatch, caplog):
    def full(path, folder):
        raise RuntimeError("Failed to write external initializers")  # ONNX Runtime's own

    monkeypatch.setattr(ort, "_optimise", full)
    one, other = single_and_multi_threaded(imagenet / "model.onnx", 2)
    assert np.abs(run(one, pixels[:1]) - run(other, pixels[:1])).max() < 1e-5
    assert "held in memory twice" in caplog.text


class Recording:
    """Stands for ONNX Runtime's session."""

    def __init__(self, name, ran):
        self._name, self._ran = name, ran

    def run(self, names, inputs):
        self._ran.append(self._name)
        return [np.zeros((1, 3), np.float32)]

    def get_providers(self):
        return [ort.CPU]


def test_a_run_that_is_alone_takes_the_wide_session(monkeypatch, pixels):
    ran = []
    pair = Recording("narrow", ran), Recording("wide", ran)
    monkeypatch.setattr(ort, "narrow_and_wide", lambda path, cores: pair)
    session = Session(Path("model.onnx"), "cpu", "fp32", cores=2)
    session.run(pixels[:1])
    session.run(pixels[:1], alone=True)
    assert ran == ["narrow", "wide"]


def test_one_core_needs_one_session(make_bundle, monkeypatch):
    def never(path, cores):
        pytest.fail("two sessions were opened")

    monkeypatch.setattr(ort, "narrow_and_wide", never)
    session = Session(make_bundle().model_path("fp32"), "cpu", "fp32", cores=1)
    image = np.zeros((1, 32, 32, 3), np.uint8)
    assert np.array_equal(session.run(image), session.run(image, alone=True))


def test_threads_spin_no_longer_than_their_run(make_bundle):
    for session in single_and_multi_threaded(make_bundle().model_path("fp32"), 2):
        options = session.get_session_options()
        assert options.get_session_config_entry("session.force_spinning_stop") == "1"
        assert (
            options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        )
