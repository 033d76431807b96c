"""Choices of an administrator: pinned and held versions and the default, also after a restart."""

import json
import os
import shutil
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from app.errors import (
    BadParameter,
    BundleMismatch,
    ModelNotReady,
    ModelRequired,
    PinFileInvalid,
    UnknownModel,
)
from app.runtime.loaded_model import load_model
from app.runtime.pins import PinFile
from app.runtime.registry import Registry


@pytest.fixture
def start(models, tmp_path):
    """Start a process: a registry of the folder, with its pin file."""
    (tmp_path / "built-in").mkdir()

    def begin(default=None):
        roots = [models, tmp_path / "built-in"]
        load = partial(load_model, device="cpu")
        registry = Registry(roots, load, default, PinFile(models))
        registry.load_all()
        return registry

    return begin


@pytest.fixture
def add(make_bundle, models):
    """Copy a version of a model into its own folder."""
    return lambda name, version: make_bundle(
        models, name, version, folder=models / f"{name}/{version}"
    )


def pin_file(models):
    return json.loads((models / "pins.json").read_text())


def serving(registry, name="birds"):
    return registry.resolve(name).version


def test_without_choices_there_is_no_file(start, add, models):
    add("birds", 1)
    registry = start()
    registry.reload("birds")
    registry.unload("birds")
    assert [path.name for path in models.iterdir()] == ["birds"]


def test_a_pinned_version_outlives_a_restart(start, add, models):
    for version in (1, 2, 3):
        add("birds", version)
    start().reload_or_raise("birds", 2)
    assert pin_file(models) == {"schema_version": 1, "models": {"birds": {"serving": 2}}}
    add("birds", 4)
    registry = start()
    assert serving(registry) == 2
    assert registry.resolve("birds", 4).version == 4
    registry.reload_or_raise("birds")
    assert serving(registry) == serving(start()) == 4
    assert pin_file(models) == {"schema_version": 1}


def test_a_roll_back_holds_back_the_version_that_it_left(start, add, models):
    for version in (1, 2, 3):
        add("birds", version)
    registry = start()
    registry.roll_back("birds")
    assert serving(registry) == 2
    registry.roll_back("birds")
    assert serving(registry) == 1
    assert pin_file(models)["models"] == {
        "birds": {
            "serving": 1,
            "held": [2, 3],
            "reasons": {
                "2": "It was rolled back to version 1.",
                "3": "It was rolled back to version 2.",
            },
        }
    }
    registry = start()
    assert serving(registry) == 1
    registry.reload_or_raise("birds")
    assert serving(registry) == serving(start()) == 1
    assert registry.resolve("birds", 3).version == 3
    add("birds", 4)
    registry.reload_or_raise("birds")
    assert serving(registry) == 4


def test_a_held_version_serves_again_when_it_is_named(start, add):
    for version in (1, 2):
        add("birds", version)
    registry = start()
    registry.roll_back("birds", 1)
    registry.reload_or_raise("birds", 2)
    assert serving(registry) == serving(start()) == 2
    assert registry.pins.of("birds").held == ()


def test_a_roll_back_needs_a_lower_version_that_is_ready(start, add):
    add("birds", 1)
    add("birds", 2)
    registry = start()
    with pytest.raises(UnknownModel, match="no version 3"):
        registry.roll_back("birds", 3)
    registry.roll_back("birds", 1)
    with pytest.raises(BadParameter, match=r"Version 2 of 'birds' is higher.*mode=promote"):
        registry.roll_back("birds", 2)
    with pytest.raises(UnknownModel, match="no version below 1"):
        registry.roll_back("birds")
    with pytest.raises(UnknownModel, match="no model 'wasps'"):
        registry.roll_back("wasps")
    assert serving(registry) == 1


def test_a_rejected_version_is_not_selected_by_a_restart_a_reload_or_a_watch(start, add, models):
    add("birds", 1)
    add("birds", 2)
    registry = start()
    registry.reload("birds", 1)
    registry.reject("birds", 2)
    (birds,) = pin_file(models)["models"].values()
    assert (birds["serving"], birds["held"]) == (1, [2])
    for process in (registry, start()):
        process.reload("birds")
        process.promote(models / "birds/2")
        assert serving(process) == 1
        assert process.resolve("birds", 2).version == 2


def test_a_version_that_serves_or_does_not_exist_cannot_be_rejected(start, add):
    for version in (1, 2):
        add("birds", version)
    registry = start()
    with pytest.raises(BadParameter, match=r"Version 2 of 'birds' serves. Use mode=rollback"):
        registry.reject("birds", 2)
    with pytest.raises(UnknownModel, match="no version 3 of 'birds' to reject"):
        registry.reject("birds", 3)
    with pytest.raises(BadParameter, match="No version of 'birds' is shadowed"):
        registry.reject("birds")


def test_a_version_is_held_back_with_a_reason_before_it_arrives(start, add, models):
    add("birds", 1)
    registry = start()
    registry.hold("birds", 2, "It was compared with version 1, and is worse.")
    add("birds", 2)
    registry = start()
    assert serving(registry) == 1
    assert registry.pins.of("birds").reasons == {2: "It was compared with version 1, and is worse."}
    assert registry.roll_back_target("birds") is None
    registry.reload("birds", 2)
    assert (serving(registry), registry.pins.of("birds").reasons) == (2, {})
    assert registry.roll_back_target("birds") == 1
    assert registry.roll_back_target("bees") is None
    registry.roll_back("birds")
    assert pin_file(models)["models"]["birds"]["reasons"] == {
        "2": "It was rolled back to version 1."
    }


def test_a_roll_back_works_while_the_folder_is_missing(start, add, models):
    add("birds", 1)
    add("birds", 2)
    registry = start()
    shutil.rmtree(models / "birds")
    registry.roll_back("birds")
    assert serving(registry) == 1


def test_a_pinned_version_without_a_bundle_is_not_replaced_by_another(start, add, models):
    add("birds", 1)
    add("birds", 2)
    start().reload("birds", 1)
    shutil.rmtree(models / "birds/1")
    registry = start()
    with pytest.raises(ModelNotReady, match="version 1 is pinned, and there is no bundle of it"):
        registry.resolve("birds")
    assert registry.resolve("birds", 2).version == 2
    registry.reload("birds")
    assert serving(registry) == 2


def test_held_versions_are_never_selected_for_lack_of_others(start, add, models):
    add("birds", 1)
    add("birds", 2)
    start().roll_back("birds")
    shutil.rmtree(models / "birds/1")
    registry = start()
    for _ in range(2):
        with pytest.raises(ModelNotReady):
            registry.resolve("birds")
        registry.reload("birds")
    with pytest.raises(ModelNotReady, match=r"all its versions are held back \(2\)"):
        registry.resolve("birds")


def test_a_refused_reload_leaves_the_pin(start, add, models):
    for version in (1, 2):
        add("birds", version)
    registry = start()
    registry.reload("birds", 1)
    (add("birds", 3).folder / "model.onnx").write_bytes(b"broken")
    with pytest.raises(BundleMismatch):
        registry.reload_or_raise("birds")
    assert serving(registry) == serving(start()) == 1


def test_a_pinned_version_that_was_replaced_in_its_folder_is_unpinned_in_the_file(
    start, make_bundle, models
):
    make_bundle(models, "birds", 1)
    registry = start()
    registry.reload("birds", 1)
    make_bundle(models, "birds", 2)
    registry.reload_or_raise("birds")
    assert serving(registry) == serving(start()) == 2


def test_a_chosen_default_outlives_a_restart_and_can_be_forgotten(start, add, models):
    add("birds", 1)
    add("bees", 1)
    registry = start()
    with pytest.raises(ModelRequired):
        registry.resolve()
    registry.choose_default("bees")
    assert registry.resolve().name == "bees"
    assert pin_file(models) == {"schema_version": 1, "default": "bees"}
    registry = start("birds")
    assert registry.resolve().name == "bees"
    assert registry.default.reason == (
        "It was chosen at run time, instead of HUBEL_DEFAULT_MODEL=birds."
    )
    registry.forget_default("birds")
    assert registry.resolve().name == "bees"
    registry.forget_default("bees")
    assert registry.resolve().name == "birds"
    assert start("birds").default.reason == "HUBEL_DEFAULT_MODEL names it."


def test_only_a_ready_model_can_be_made_the_default(start, add):
    add("birds", 1)
    (add("bees", 1).folder / "model.onnx").write_bytes(b"broken")
    registry = start("birds")
    with pytest.raises(ModelNotReady):
        registry.choose_default("bees")
    with pytest.raises(UnknownModel):
        registry.choose_default("wasps")
    with pytest.raises(UnknownModel):
        registry.forget_default("wasps")
    assert registry.resolve().name == "birds"


BROKEN = {
    "empty": b"",
    "cut off": b'{"schema_version": 1, "models": {"bir',
    "not JSON": b"birds=1\n",
    "a list": b"[]",
    "a newer schema": b'{"schema_version": 2}',
    "no schema": b'{"models": {}}',
    "an unknown field": b'{"schema_version": 1, "pinned": {"birds": 1}}',
    "version 0": b'{"schema_version": 1, "models": {"birds": {"serving": 0}}}',
    "a version as text": b'{"schema_version": 1, "models": {"birds": {"held": ["2"]}}}',
    "an unknown trial": b'{"schema_version": 1, "models": {"birds": {"held": [2], "trial": '
    b'{"mode": "ab", "version": 2, "share": 0.1}}}}',
    "a trial that isn't held": b'{"schema_version": 1, "models": {"birds": {"trial": '
    b'{"mode": "shadow", "version": 2, "share": 0.1}}}}',
    "bytes": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_pin_file_is_an_error_at_start_and_at_a_change(start, add, models, content):
    add("birds", 1)
    add("birds", 2)
    registry = start()
    (models / "pins.json").write_bytes(content)
    with pytest.raises(PinFileInvalid, match=r"pins\.json can't be used \(.*repair it, or delete"):
        start()
    for change in (
        partial(registry.reload, "birds", 1),
        partial(registry.roll_back, "birds"),
        partial(registry.choose_default, "birds"),
    ):
        with pytest.raises(PinFileInvalid):
            change()
    assert serving(registry) == 2
    assert (models / "pins.json").read_bytes() == content


def test_a_pin_file_that_cannot_be_read_is_an_error(start, add, models):
    add("birds", 1)
    (models / "pins.json").mkdir()
    with pytest.raises(PinFileInvalid, match="Is a directory"):
        start()


def test_choices_that_cannot_be_written_hold_in_the_process_and_say_so(
    start, add, models, caplog, monkeypatch
):
    for version in (1, 2, 3):
        add("birds", version)
    registry = start()

    def refuse(source, target):
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        registry.roll_back("birds")
        registry.roll_back("birds")
    assert serving(registry) == 1
    assert registry.pins.of("birds").held == (2, 3)
    assert "This choice ends with the process: " in registry.unsaved
    assert "Read-only file system" in registry.unsaved
    assert registry.unsaved in caplog.text
    assert [path.name for path in models.iterdir()] == ["birds"]
    registry.choose_default("birds")
    assert registry.unsaved is None
    assert serving(start()) == 1


def test_without_a_models_folder_choices_hold_in_the_process(add, models):
    add("birds", 1)
    registry = Registry([models], partial(load_model, device="cpu"))
    registry.load_all()
    registry.reload("birds", 1)
    assert registry.unsaved.endswith("set one with --models or HUBEL_DATA_DIR.")


def test_the_pin_file_can_be_read_by_others(start, add, models):
    add("birds", 1)
    start().reload("birds", 1)
    assert stat.S_IMODE((models / "pins.json").stat().st_mode) & 0o044 == 0o044


def test_a_pin_file_that_disappears_changes_nothing(start, add, models):
    add("birds", 1)
    add("birds", 2)
    registry = start()
    registry.roll_back("birds")
    (models / "pins.json").unlink()
    registry.follow_pin_file()
    registry.choose_default("birds")
    assert serving(registry) == 1
    (birds,) = pin_file(models)["models"].values()
    assert (birds["serving"], birds["held"]) == (1, [2])


def test_two_processes_on_one_folder_keep_each_others_choices(start, add):
    for name in ("birds", "bees"):
        add(name, 1)
        add(name, 2)
    one, other = start(), start()
    one.roll_back("birds")
    assert serving(other) == 2
    other.roll_back("bees")
    one.choose_default("bees")
    with pytest.raises(ModelRequired):
        other.resolve()
    other.follow_pin_file()
    for registry in (other, start()):
        assert (serving(registry), serving(registry, "bees")) == (1, 1)
        assert registry.resolve().name == "bees"


def test_changes_at_the_same_time_leave_a_consistent_state(start, add, models):
    """Reloads, roll-backs and promotions in threads, while requests resolve the model."""
    for version in (1, 2, 3):
        add("birds", version)
    registry, stop = start(), threading.Event()
    changes = [
        partial(registry.reload, "birds", 1),
        partial(registry.reload, "birds", 2),
        partial(registry.reload, "birds"),
        partial(registry.promote, models / "birds/2"),
        partial(registry.choose_default, "birds"),
    ]

    def request():
        while not stop.is_set():
            assert registry.resolve("birds").name == registry.resolve().name
            time.sleep(0.001)  # else the two threads would keep the interpreter from the others

    with ThreadPoolExecutor(10) as pool:
        requests = [pool.submit(request) for _ in range(2)]
        done = [pool.submit(changes[number % len(changes)]) for number in range(40)]
        for future in done:
            future.result(60)
        stop.set()
        for future in requests:
            future.result(60)
    assert len([e for e in registry.entries if e.name == "birds" and e.ready]) == 3
    expected = PinFile(models).read()
    assert registry.pins == expected
    assert serving(registry) == serving(start()) == (expected.of("birds").serving or 3)
    assert [path.name for path in sorted(models.iterdir())] == ["birds", "pins.json"]
