"""The selection of a model for each request, and reloads that interrupt none."""

import gc
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from app.errors import (
    BundleMissing,
    DeviceUnavailable,
    ModelNotReady,
    ModelRequired,
    UnknownModel,
)
from app.runtime.loaded_model import load_model
from app.runtime.registry import Registry


@pytest.fixture
def built_in(tmp_path, make_bundle):
    """A second root with an `imagenet`."""
    make_bundle(tmp_path / "built-in", "imagenet")
    return tmp_path / "built-in"


@pytest.fixture
def open_registry(models, built_in):
    def start(default=None):
        registry = Registry([models, built_in], partial(load_model, device="cpu"), default)
        registry.load_all()
        return registry

    return start


def break_bundle(folder):
    file = folder / "model.onnx"
    file.write_bytes(file.read_bytes() + b"x")


def test_without_models_imagenet_is_the_default(open_registry):
    assert open_registry().resolve().name == "imagenet"


def test_the_only_model_is_the_default(open_registry, make_bundle, models):
    make_bundle(models, "birds")
    assert open_registry().resolve().name == "birds"


def test_of_several_models_none_is_the_default(open_registry, make_bundle, models):
    make_bundle(models, "birds")
    make_bundle(models, "bees")
    registry = open_registry()
    with pytest.raises(ModelRequired, match=r"several: bees, birds, imagenet\. Name one of them"):
        registry.resolve()
    assert registry.resolve("bees").name == "bees"
    registry.check_ready()


@pytest.mark.parametrize("names", [(), ("birds",)], ids=["no own model", "one own model"])
def test_the_default_does_not_change_when_models_arrive(open_registry, make_bundle, models, names):
    for name in names:
        make_bundle(models, name)
    registry = open_registry()
    before = registry.resolve().name
    for name in ("ants", "bees"):
        make_bundle(models, name)
        registry.reload(name)
    assert registry.resolve().name == before == (names[0] if names else "imagenet")


def test_without_any_ready_model_and_without_a_default_it_is_not_ready(
    open_registry, make_bundle, models, built_in
):
    shutil.rmtree(built_in)
    for name in ("birds", "bees"):
        break_bundle(make_bundle(models, name).folder)
    registry = open_registry()
    with pytest.raises(ModelNotReady, match="No model is ready"):
        registry.check_ready()


def test_two_versions_of_one_model_are_still_the_only_model(open_registry, make_bundle, models):
    make_bundle(models, "birds", 1, folder=models / "birds/1")
    make_bundle(models, "birds", 2, folder=models / "birds/2")
    assert (open_registry().resolve().name, open_registry().resolve().version) == ("birds", 2)


def test_the_default_can_be_set(open_registry, make_bundle, models):
    make_bundle(models, "birds")
    make_bundle(models, "bees")
    assert open_registry("bees").resolve().name == "bees"


def test_a_default_that_does_not_exist_is_not_replaced_by_another_model(open_registry, make_bundle):
    make_bundle()
    with pytest.raises(UnknownModel, match=r"no model 'wasps'. Known models: colours, imagenet\."):
        open_registry("wasps").resolve()


@pytest.mark.parametrize("how", ["changed graph", "no manifest"])
def test_a_refused_only_model_stays_the_default(open_registry, make_bundle, models, how):
    folder = make_bundle(models, "birds").folder
    if how == "changed graph":
        break_bundle(folder)
    else:
        (folder / "bundle.json").write_text("{")
    with pytest.raises(ModelNotReady, match=r"Model 'birds' is not ready: .*birds/"):
        open_registry().resolve()


def test_the_highest_version_that_is_ready_is_selected(open_registry, make_bundle, models):
    for version in (2, 10, 9):
        make_bundle(models, "birds", version, folder=models / f"birds/{version}")
    break_bundle(models / "birds/10")
    registry = open_registry()
    assert registry.resolve("birds").version == 9
    assert registry.resolve("birds", 2).version == 2
    with pytest.raises(ModelNotReady, match=r"model.onnx has"):
        registry.resolve("birds", 10)
    with pytest.raises(UnknownModel, match=r"'birds' has no version 3. It has: 10, 9, 2\."):
        registry.resolve("birds", 3)


def test_entries_are_sorted_by_name_then_newest_first(open_registry, make_bundle, models):
    make_bundle(models, "birds", 1, folder=models / "birds/1")
    make_bundle(models, "birds", 2, folder=models / "birds/2")
    make_bundle(models, "ants")
    entries = [(e.name, e.version) for e in open_registry().entries]
    assert entries == [("ants", 1), ("birds", 2), ("birds", 1), ("imagenet", 1)]


def test_a_model_has_the_name_in_its_manifest_not_that_of_its_folder(
    open_registry, make_bundle, models
):
    make_bundle(models, "birds", folder=models / "some-folder")
    assert open_registry().resolve("birds").name == "birds"


def test_of_two_bundles_with_one_name_and_version_the_first_is_used(
    open_registry, make_bundle, models
):
    make_bundle(models, "birds", folder=models / "a")
    make_bundle(models, "birds", folder=models / "b")
    registry = open_registry()
    first, second = [e for e in registry.entries if e.name == "birds"]
    assert first.ready
    assert first.folder.name == "a"
    assert not second.ready
    assert "is already loaded as version 1 of 'birds'" in second.reason


def test_a_users_imagenet_takes_precedence_over_the_built_in_one(
    open_registry, make_bundle, models
):
    make_bundle(models, "imagenet", labels=("rouge", "green", "blue"))
    assert open_registry().resolve("imagenet").manifest.labels[0].name == "rouge"


def test_a_reload_loads_a_new_version(open_registry, make_bundle, models):
    make_bundle(models, "birds", 1, folder=models / "birds/1")
    registry = open_registry()
    make_bundle(models, "birds", 2, folder=models / "birds/2")
    assert registry.resolve("birds").version == 1
    registry.reload("birds")
    assert registry.resolve("birds").version == 2


def test_a_reload_loads_a_new_model(open_registry, make_bundle, models):
    registry = open_registry()
    make_bundle(models, "birds")
    registry.reload("birds")
    assert registry.resolve("birds").name == "birds"


def test_a_request_in_flight_finishes_on_the_model_it_began_with(
    open_registry, make_bundle, models, tmp_path
):
    make_bundle(models, "birds")
    registry = open_registry()
    before = registry.resolve("birds")
    make_bundle(models, "birds", labels=("rouge", "green", "blue"))
    registry.reload("birds")
    assert registry.resolve("birds").manifest.labels[0].name == "rouge"
    assert before.manifest.labels[0].name == "red"
    assert [r.passed for r in _golden(before)] == [True] * 3


def _golden(model):
    from app.runtime.verify import run_golden

    return run_golden(model.session, model.bundle)


@pytest.mark.parametrize("how", ["changed graph", "no manifest"])
@pytest.mark.parametrize("folder", ["birds", "another-name"])
def test_a_broken_replacement_leaves_the_old_one_serving(
    open_registry, make_bundle, models, how, folder
):
    make_bundle(models, "birds", folder=models / folder)
    registry = open_registry()
    before = registry.resolve("birds")
    if how == "changed graph":
        break_bundle(models / folder)
    else:
        (models / folder / "bundle.json").write_text("{")
    (entry,) = registry.reload("birds")
    assert registry.resolve("birds") is before
    assert entry.ready
    assert str(models / folder) in entry.reason


def test_a_repaired_bundle_serves_again_after_a_reload(open_registry, make_bundle, models):
    folder = make_bundle(models, "birds").folder
    break_bundle(folder)
    registry = open_registry()
    make_bundle(models, "birds")
    (entry,) = registry.reload("birds")
    assert (entry.ready, entry.reason) == (True, None)
    assert registry.resolve("birds").version == 1


def test_a_version_whose_folder_is_gone_serves_on_after_a_reload(
    open_registry, make_bundle, models
):
    for version in (1, 2):
        make_bundle(models, "birds", version, folder=models / f"birds/{version}")
    registry = open_registry()
    shutil.rmtree(models / "birds/2")
    with pytest.raises(BundleMissing, match=r"'birds' version 2 serves on.*birds/2 is missing"):
        registry.reload_or_raise("birds")
    assert registry.resolve("birds").version == 2
    assert registry.resolve("birds", 1).version == 1
    registry.unload("birds", 2)
    registry.reload_or_raise("birds")
    assert registry.resolve("birds").version == 1
    assert [e.version for e in registry.entries if e.name == "birds"] == [1]


def test_an_older_version_whose_folder_is_gone_hinders_no_reload(
    open_registry, make_bundle, models
):
    make_bundle(models, "birds", 1, folder=models / "birds/1")
    registry = open_registry()
    shutil.rmtree(models / "birds/1")
    make_bundle(models, "birds", 2, folder=models / "birds/2")
    registry.reload_or_raise("birds")
    assert registry.resolve("birds").version == 2
    assert registry.resolve("birds", 1).version == 1
    (old,) = [e for e in registry.entries if e.version == 1 and e.name == "birds"]
    assert "birds/1 is missing" in old.reason


def test_a_removed_version_serves_until_another_is_ready(
    open_registry, make_bundle, models, monkeypatch
):
    make_bundle(models, "birds", 1, folder=models / "birds/1")
    registry = open_registry()
    shutil.rmtree(models / "birds/1")
    make_bundle(models, "birds", 2, folder=models / "birds/2")
    break_bundle(models / "birds/2")
    refused, missing = registry.reload("birds")
    assert "model.onnx has" in refused.reason
    assert "is missing" in missing.reason
    assert registry.resolve("birds").version == 1
    with pytest.raises(UnknownModel):
        registry.reload("birds", 3)
    assert registry.resolve("birds").version == 1

    make_bundle(models, "birds", 2, folder=models / "birds/2")
    load, served = registry.loader._load, []

    def watched(folder):
        served.append(registry.resolve("birds").version)
        return load(folder)

    monkeypatch.setattr(registry.loader, "_load", watched)
    registry.reload("birds")
    assert served == [1]
    assert registry.resolve("birds").version == 2


def test_a_model_whose_folder_cannot_be_read_serves_on(
    open_registry, make_bundle, models, monkeypatch
):
    make_bundle(models, "birds")
    registry = open_registry()
    original = Path.stat

    def refuse(path, **how):
        if "birds" in path.parts:
            raise PermissionError(13, "Permission denied")
        return original(path, **how)

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(BundleMissing, match="can't be read"):
        registry.reload("birds")
    assert registry.resolve("birds").version == 1


@pytest.mark.parametrize("gone", ["birds", "."], ids=["the folder", "the whole volume"])
def test_a_model_whose_folder_is_gone_serves_on(open_registry, make_bundle, models, gone):
    make_bundle(models, "birds")
    registry = open_registry()
    before = registry.resolve()
    shutil.rmtree(models / gone)
    for version in (None, 1):
        with pytest.raises(BundleMissing, match=r"'birds' version 1 serves on.*unload it"):
            registry.reload("birds", version)
        assert registry.resolve() is before
    with pytest.raises(UnknownModel, match="no bundle of version 2"):
        registry.reload("birds", 2)
    registry.unload("birds")
    with pytest.raises(UnknownModel, match="no bundle of model 'birds'"):
        registry.reload("birds")
    with pytest.raises(UnknownModel, match="There is no model 'birds'"):
        registry.resolve()


def test_a_volume_that_comes_back_is_loaded_again(open_registry, make_bundle, models):
    make_bundle(models, "birds")
    registry = open_registry()
    (models / "birds").rename(models.parent / "unmounted")
    with pytest.raises(BundleMissing):
        registry.reload("birds")
    (models.parent / "unmounted").rename(models / "birds")
    (entry,) = registry.reload("birds")
    assert (entry.ready, entry.reason) == (True, None)


def test_a_bundle_may_move_to_another_folder(open_registry, make_bundle, models):
    make_bundle(models, "birds")
    registry = open_registry()
    (models / "birds").rename(models / "moved")
    registry.reload("birds")
    assert registry.resolve("birds").bundle.folder == models / "moved"
    assert [e.folder for e in registry.entries if e.name == "birds"] == [models / "moved"]


def test_a_reload_of_an_unknown_model_is_refused(open_registry):
    with pytest.raises(UnknownModel, match="'wasps'"):
        open_registry().reload("wasps")


def test_a_reload_of_an_older_version_rolls_back(open_registry, make_bundle, models):
    make_bundle(folder=models / "colours/1", version=1)
    make_bundle(folder=models / "colours/2", version=2)
    registry = open_registry()
    assert registry.resolve("colours").version == 2
    registry.reload("colours", 1)
    assert registry.resolve("colours").version == 1
    assert registry.resolve("colours", 2).version == 2
    assert [registry.is_selected(e) for e in registry.entries if e.name == "colours"] == [
        False,
        True,
    ]
    registry.reload("colours")
    assert registry.resolve("colours").version == 2


def test_a_roll_back_to_a_missing_or_broken_version_is_refused(open_registry, make_bundle, models):
    make_bundle(folder=models / "colours/1", version=1)
    make_bundle(folder=models / "colours/2", version=2)
    registry = open_registry()
    with pytest.raises(UnknownModel, match="version 3"):
        registry.reload("colours", 3)
    (models / "colours/1/model.onnx").write_bytes(b"broken")
    (entry,) = registry.reload("colours", 1)
    assert entry.reason
    assert registry.resolve("colours").version == 2


def test_a_pinned_version_is_replaced_in_its_folder_by_a_reload_alone(
    open_registry, make_bundle, models
):
    make_bundle(models, version=1)
    registry = open_registry()
    registry.reload("colours", 1)
    make_bundle(models, version=2)
    entry = registry.promote(models / "colours")
    assert "version 1 of 'colours' is pinned and serves on" in entry.reason
    assert registry.resolve("colours").version == 1
    registry.reload_or_raise("colours")
    assert registry.resolve("colours").version == 2


def test_an_unloaded_model_is_freed_and_can_be_loaded_again(open_registry, make_bundle, models):
    make_bundle(models)
    registry = open_registry()
    freed = weakref.ref(registry.resolve("colours"))
    registry.unload("colours")
    gc.collect()
    assert freed() is None
    with pytest.raises(ModelNotReady, match="unloaded"):
        registry.resolve("colours")
    assert [e.state for e in registry.entries if e.name == "colours"] == ["unloaded"]
    registry.reload("colours")
    assert registry.resolve("colours").version == 1
    with pytest.raises(UnknownModel):
        registry.unload("nothing")


def test_promotions_are_counted_by_result(open_registry, make_bundle, models):
    make_bundle(models)
    registry = open_registry()
    (models / "colours/model.onnx").write_bytes(b"broken")
    registry.reload("colours")
    assert registry.promotions["colours", "promoted"] == 1
    assert registry.promotions["colours", "refused"] == 1


def test_a_bundle_that_crashes_the_loader_does_not_stop_others(make_bundle, models):
    make_bundle(models, "good")
    make_bundle(models, "bad")

    def load(folder):
        if folder.name == "bad":
            raise ValueError("embedded null byte")
        return load_model(folder, "cpu")

    registry = Registry([models], load)
    registry.load_all()
    assert registry.resolve("good").name == "good"
    with pytest.raises(ModelNotReady, match="embedded null byte"):
        registry.resolve("bad")


def test_models_are_loaded_once_and_concurrent_callers_wait(make_bundle, models):
    make_bundle(models)
    begun, may_end, loads = threading.Event(), threading.Event(), []

    def load(folder):
        loads.append(folder)
        begun.set()
        assert may_end.wait(10)
        return load_model(folder, "cpu")

    registry = Registry([models], load)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(registry.load_all)
        assert begun.wait(10)
        second = pool.submit(registry.load_all)
        assert not second.done()
        may_end.set()
        first.result(10)
        second.result(10)
    assert registry.resolve().name == "colours"
    assert len(loads) == 1


def test_a_device_that_fails_raises_again_for_the_next_caller(make_bundle, models):
    make_bundle(models)

    def load(folder):
        raise DeviceUnavailable("CUDA can't be used.")

    registry = Registry([models], load)
    for _ in range(2):
        with pytest.raises(DeviceUnavailable):
            registry.load_all()
