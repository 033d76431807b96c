"""A new version on its way into the models folder: killed at any moment, the old one serves."""

import os
from functools import partial

import pytest

from app.errors import BundleMismatch, ModelsReadOnly
from app.jobs.comparison import Comparison, VersionFigures
from app.jobs.promotion import Models, decide
from app.runtime.loaded_model import load_model
from app.runtime.pins import PinFile
from app.runtime.registry import Registry


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def models(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def built(make_bundle, models, tmp_path):
    """A model that serves, and a finished bundle of its next version."""
    make_bundle(folder=models / "colours" / "1")
    return make_bundle(folder=tmp_path / "work" / "bundle", version=2).folder


def start(folder):
    """Start a service on the folder."""
    load = partial(load_model, device="cpu", cores=1)
    registry = Registry([folder], load, None, PinFile(folder))
    models = Models(registry, folder)
    models.clear_unfinished()
    registry.load_all()
    return registry, models


def test_a_version_is_installed_and_serves_only_once_it_is_promoted(built, models):
    registry, jobs = start(models)
    assert jobs.next_version("colours") == 2
    assert jobs.serving_folder("colours") == models / "colours" / "1"
    jobs.install(built)
    assert registry.resolve("colours").version == 1
    assert registry.resolve("colours", 2).version == 2
    assert jobs.next_version("colours") == 3
    assert start(models)[0].resolve("colours").version == 1
    assert jobs.promote("colours", 2, models / "colours" / "1")
    assert start(models)[0].resolve("colours").version == 2
    jobs.install(built)  # resumed after it was promoted: nothing changes
    assert registry.resolve("colours").version == 2


def test_a_pinned_version_is_replaced_as_the_pinned_one(built, models):
    registry, jobs = start(models)
    registry.reload("colours", 1)
    jobs.install(built)
    assert jobs.promote("colours", 2, models / "colours" / "1")
    assert registry.pins.of("colours").serving == 2


@pytest.mark.parametrize(
    ("call", "moment"), [("replace", 1), ("link", 1), ("link", 3), ("fsync", 3), ("replace", 2)]
)
def test_a_kill_at_any_moment_leaves_the_old_version_serving(
    built, models, call, moment, monkeypatch
):
    """The calls: the pin file is renamed, files are linked and written to the disk, the folder is
    renamed."""
    real = getattr(os, call)
    left = moment

    def stop(*arguments, **named):
        nonlocal left
        left -= 1
        if not left:
            raise Killed
        return real(*arguments, **named)

    _, jobs = start(models)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, stop)
        with pytest.raises(Killed):
            jobs.install(built)
    registry, jobs = start(models)
    assert registry.resolve("colours").version == 1
    assert [folder.name for folder in (models / "colours").iterdir()] == ["1"]
    jobs.install(built)
    assert jobs.promote("colours", 2, models / "colours" / "1")
    assert registry.resolve("colours").version == 2


def test_another_version_that_serves_meanwhile_stays(built, models, make_bundle):
    registry, jobs = start(models)
    assert not jobs.is_first("colours", 2)
    assert jobs.is_first("shapes", 1)
    jobs.install(built)
    other = make_bundle(folder=models / "colours" / "3", version=3, sharpness=4)
    registry.promote(other.folder)
    assert not jobs.promote("colours", 2, models / "colours" / "1")
    assert registry.resolve("colours").version == 3


def test_a_version_without_a_place_is_refused(built, models, make_bundle):
    registry, jobs = start(models)
    with pytest.raises(ModelsReadOnly, match="HUBEL_MODELS"):
        Models(registry, None).check_writable("colours")
    (models / "file").touch()
    with pytest.raises(ModelsReadOnly, match="can't be written"):
        jobs.check_writable("file")
    make_bundle(folder=models / "colours" / "2", version=2, sharpness=4)
    with pytest.raises(BundleMismatch, match="by somebody else"):
        jobs.install(built)


def test_what_becomes_of_a_version_follows_from_the_comparison():
    figures = VersionFigures(version=1)
    of = partial(Comparison, reason="So.", rule="R.", serving=figures, candidate=figures)
    outcomes = {
        (verdict, promote): decide(of(verdict=verdict), promote).outcome
        for verdict in ("better", "not_worse", "worse", "not_comparable")
        for promote in ("if_not_worse", "offer")
    }
    assert [key for key, outcome in outcomes.items() if outcome == "promoted"] == [
        ("better", "if_not_worse"),
        ("not_worse", "if_not_worse"),
    ]
    assert outcomes["better", "offer"] == "offered"
    assert outcomes["worse", "offer"] == outcomes["not_comparable", "offer"] == "held"
    assert decide(None, "if_not_worse").outcome == "promoted"
    assert decide(None, "offer").outcome == "offered"
    unready = decide(None, "if_not_worse", is_first=False)
    assert unready.outcome == "offered"
    assert unready.reason == "It wasn't compared with an earlier version."
    fewer = of(verdict="better", removed_labels=list("abcdefg"))
    decision = decide(fewer, "if_not_worse")
    assert decision.outcome == "offered"
    assert decision.reason.endswith("serves: a, b, c, d, e and 2 more.")


def test_a_model_whose_every_version_is_held_back_is_not_the_default(built, models):
    registry, _ = start(models)
    assert registry.default.name == "colours"
    registry.hold("colours", 1, "It is worse.")
    assert start(models)[0].default.name == "imagenet"
