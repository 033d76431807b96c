"""Trials of versions: how they begin, end, and survive restarts, reloads and the watch."""

import json
import shutil
from functools import partial

import numpy as np
import pytest

from app.errors import (
    BadParameter,
    BundleMismatch,
    BundleMissing,
    TooMuchMemory,
    UnknownModel,
)
from app.memory_budget import MemoryBudget
from app.runtime.classifier import Query, classify
from app.runtime.engine import Engine
from app.runtime.loaded_model import load_model
from app.runtime.pins import PinFile, Trial
from app.runtime.registry import Registry
from app.runtime.trials import Trials
from app.runtime.watch import Watch
from app.vision import Limits

LIMITS = Limits(10**7, 10**8)


@pytest.fixture
def start(models):
    """Start a process: a registry with its pin file, and its trials."""

    def begin():
        registry = Registry([models], partial(load_model, device="cpu"), None, PinFile(models))
        registry.load_all()
        memory = MemoryBudget(10**9)
        engine = Engine(threads=1, deadline_s=10)
        trials = Trials(registry, engine, memory, LIMITS, draw=lambda: 0.5, lost_after_s=0)
        return registry, trials

    return begin


@pytest.fixture
def add(make_bundle, models):
    return lambda version, **more: (
        make_bundle(models, "birds", version, folder=models / f"birds/{version}", **more).folder
    )


def serving(registry):
    return registry.resolve("birds").version


def test_a_tried_version_never_serves_by_a_restart_a_reload_or_the_watch(start, add, models):
    add(1)
    registry, trials = start()
    folder = add(2)
    trials.start("birds", mode="shadow", share=0.1)
    recorded = json.loads((models / "pins.json").read_text())["models"]["birds"]
    trial = {"mode": "shadow", "version": 2, "share": 0.1}
    assert recorded == {"held": [2], "trial": trial}
    for models_of_process, its_trials in ((registry, trials), start()):
        models_of_process.reload_or_raise("birds")
        models_of_process.promote(folder)
        Watch(models_of_process).poll()
        assert serving(models_of_process) == 1
        assert models_of_process.resolve("birds", 2).version == 2
        assert its_trials.running() == [("birds", Trial(**trial))]


def test_a_shadow_becomes_a_canary_and_is_promoted(start, add):
    add(1)
    registry, trials = start()
    add(2)
    trials.start("birds", mode="shadow", share=0.1)
    tried = registry.resolve("birds", 2)
    trials.start("birds", mode="canary", share=1)
    assert registry.resolve("birds", 2) is tried  # it wasn't loaded again
    assert trials.answering(registry.resolve("birds"), "any") is tried
    assert trials.shadow_of(registry.resolve("birds")) is None
    registry.reload_or_raise("birds", 2)
    assert serving(registry) == 2
    assert trials.running() == []
    assert registry.pins.of("birds").held == ()


@pytest.mark.parametrize("end", ["roll_back", "reject"])
def test_a_roll_back_or_a_rejection_ends_a_trial_and_the_version_stays_held(start, add, end):
    for version in (1, 2, 3):
        add(version)
    registry, trials = start()
    registry.roll_back("birds", 2)
    trials.start("birds", 3, mode="canary", share=1)
    getattr(registry, end)("birds")
    assert trials.running() == []
    assert (serving(registry), registry.pins.of("birds").held) == (2, (3,))
    model = registry.resolve("birds")
    assert trials.answering(model, "any") is model
    registry.reload("birds")
    assert serving(start()[0]) == 2


def test_a_roll_back_to_a_version_ends_the_trial_too(start, add):
    for version in (1, 2, 3):
        add(version)
    registry, trials = start()
    registry.roll_back("birds", 2)
    trials.start("birds", 3, mode="shadow", share=1)
    registry.roll_back("birds", 1)
    assert trials.running() == []
    assert (serving(registry), registry.pins.of("birds").held) == (1, (2, 3))


def test_what_cannot_be_tried_is_refused(start, add, models):
    add(1)
    registry, trials = start()
    begin = partial(trials.start, "birds", mode="shadow", share=0.1)
    with pytest.raises(UnknownModel, match="no version of 'birds' above 1"):
        begin()
    with pytest.raises(UnknownModel, match="no bundle of version 9"):
        begin(9)
    with pytest.raises(BadParameter, match="Version 1 of 'birds' serves"):
        begin(1)
    add(2)
    add(3)
    begin(2)
    with pytest.raises(BadParameter, match="The shadow of version 2 of 'birds' is not over"):
        begin(3)
    registry.reject("birds")
    shutil.rmtree(models / "birds/2")
    with pytest.raises(BundleMissing):
        begin(2)
    assert serving(registry) == 1


def test_a_bundle_that_is_refused_is_not_tried_and_stays_held(start, add):
    add(1)
    registry, trials = start()
    (add(2) / "model.onnx").write_bytes(b"broken")
    with pytest.raises(BundleMismatch, match="Version 2 is refused, and stays held back"):
        trials.start("birds", mode="shadow", share=0.1)
    assert trials.running() == []
    add(2)
    Watch(registry).poll()
    assert serving(registry) == 1


def test_a_version_without_memory_beside_the_serving_one_is_refused(start, add, models):
    add(1)
    registry, trials = start()
    add(2)

    def refuse(folder):
        raise TooMuchMemory("no memory")

    registry.check_memory = refuse
    with pytest.raises(TooMuchMemory):
        trials.start("birds", mode="shadow", share=0.1)
    assert not (models / "pins.json").exists()


def test_a_trial_ends_when_its_folder_is_removed_and_says_why(start, add, models, caplog):
    add(1)
    registry, trials = start()
    add(2)
    trials.start("birds", mode="canary", share=1)
    trials.end_lost()
    assert trials.running()
    shutil.rmtree(models / "birds/2")
    trials.end_lost()
    model = registry.resolve("birds")
    assert trials.answering(model, "any") is model
    status = trials.status("birds", 2)
    assert status.state == "ended"
    assert "The canary of version 2 has ended: its folder" in status.reason
    assert status.reason in caplog.text
    assert PinFile(models).read().of("birds").held == (2,)


def test_a_bundle_that_is_missing_for_a_moment_ends_no_trial(start, add, models, monkeypatch):
    add(1)
    _, trials = start()
    add(2)
    trials.start("birds", mode="shadow", share=0.1)
    monkeypatch.setattr(trials, "_lost_after_s", 10)
    (models / "birds/2").rename(models / "birds/.2")
    trials.end_lost()
    (models / "birds/.2").rename(models / "birds/2")
    trials.end_lost()
    assert trials.running()


def test_a_trial_whose_bundle_is_gone_after_a_restart_ends(start, add, models):
    add(1)
    _, trials = start()
    add(2)
    trials.start("birds", mode="shadow", share=0.1)
    shutil.rmtree(models / "birds/2")
    _, trials = start()
    trials.end_lost()
    assert trials.running() == []
    assert "there is no bundle of it" in trials.status("birds", 2).reason


def test_an_unmounted_folder_ends_no_trial(start, add, models):
    add(1)
    _, trials = start()
    add(2)
    trials.start("birds", mode="shadow", share=0.1)
    models.rename(models.with_name("elsewhere"))
    models.mkdir()
    trials.end_lost()
    assert trials.running()


def test_a_tried_version_that_is_unloaded_waits(start, add):
    add(1)
    registry, trials = start()
    add(2)
    trials.start("birds", mode="shadow", share=1)
    registry.unload("birds", 2)
    assert trials.shadow_of(registry.resolve("birds")) is None
    assert trials.status("birds", 2).state == "not_ready"
    registry.load_all()
    assert start()[1].status("birds", 2).state == "running"


def test_the_state_of_an_unknown_version_is_an_error(start, add):
    add(1)
    _, trials = start()
    assert trials.status("birds", 1).state == "none"
    with pytest.raises(UnknownModel):
        trials.status("birds", 2)


def compare(trials, registry, photos, crops=()):
    """Classify photos with the serving version, and run its shadow as the service does."""
    model = registry.resolve("birds")
    shadow = trials.shadow_of(model)
    query = shadow.prepare(Query())
    queries = [Query(crop=crop, keep_pixels=query.keep_pixels) for crop in crops] or [query]
    results = [classify(photo, model, each, LIMITS) for photo in photos for each in queries]
    runs = shadow.runs(results, photos, crops, "request")
    for run in runs:
        trials.execute(run, True)
    return shadow, results, runs


def test_a_worse_version_is_seen_as_worse(start, add, photo):
    add(1)
    registry, trials = start()
    add(2, labels=("green", "blue", "red"))
    trials.start("birds", mode="shadow", share=1)
    shadow, results, runs = compare(trials, registry, [photo("red"), photo("blue")])
    assert shadow.kept_bytes
    assert runs[0].is_prepared
    assert np.array_equal(runs[0].image, results[0].pixels)
    assert runs[0].image.base is None  # else it would keep the body of a request
    report = trials.status("birds", 2).report
    assert (report.images, report.agreed) == (2, 0)
    assert report.mean_difference > 0.9
    assert [d.shadow[0][0] for d in report.disagreements] == ["red", "green"]
    assert report.shadow_latency.mean_s > 0
    assert report.spent_s > 0


@pytest.mark.parametrize("size", [48, 480])
def test_other_preprocessing_reads_the_photo_again(start, add, photo, size):
    add(1)
    registry, trials = start()
    add(2, size=size)
    trials.start("birds", mode="shadow", share=1)
    array = np.full((480, 480, 3), (0, 0, 255), np.uint8)
    shadow, _, _ = compare(trials, registry, [photo("red", (600, 500)), array])
    assert shadow.kept_bytes == 0
    report = trials.status("birds", 2).report
    assert (report.images, report.agreed, report.failed) == (2, 2, 0)
    resized = np.full(registry.resolve("birds").manifest.input.shape, 255, np.uint8)
    compare(trials, registry, [resized])
    assert trials.status("birds", 2).report.dropped == {"input": 1}


def test_an_error_of_the_shadow_is_counted(start, add, photo, contrast):
    add(1)
    registry, trials = start()
    add(2, graph=contrast(["probabilities"]))
    trials.start("birds", mode="shadow", share=1)
    grey = np.full((480, 480, 3), 127, np.uint8)
    compare(trials, registry, [grey])
    report = trials.status("birds", 2).report
    assert (report.images, report.failed) == (0, 1)
    assert "NaN" in report.last_error or "finite" in report.last_error


def test_images_beyond_the_share_are_counted_and_not_run(start, add, photo):
    add(1)
    registry, trials = start()
    add(2)
    trials.start("birds", mode="shadow", share=0.4)  # the draw is 0.5
    _, results, runs = compare(trials, registry, [photo("red")])
    assert runs == []
    assert results[0].pixels is None
    stages = results[0].stages
    spent = 0.4 * (stages.decode_s + stages.resize_s + stages.run_s)
    assert trials.status("birds", 2).report.earned_s == pytest.approx(spent)


def test_runs_that_wait_when_a_trial_ends_are_dropped(start, add, photo):
    add(1)
    registry, trials = start()
    add(2)
    trials.start("birds", mode="shadow", share=1)
    _, _, runs = compare(trials, registry, [photo("red")])
    registry.reject("birds")
    trials.execute(runs[0], True)
    report = trials.status("birds", 2).report
    assert (report.images, report.dropped) == (1, {"ended": 1})


def test_a_version_that_is_named_has_no_shadow(start, add):
    for version in (1, 2, 3):
        add(version)
    registry, trials = start()
    registry.roll_back("birds", 2)
    trials.start("birds", 3, mode="shadow", share=1)
    assert trials.shadow_of(registry.resolve("birds", 1)) is None
    assert trials.shadow_of(registry.resolve("birds", 2)) is not None
