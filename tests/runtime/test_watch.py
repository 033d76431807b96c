"""The watch: new bundles are promoted once they are complete, and nothing is tried twice."""

import logging
import shutil
import time
from functools import partial

import pytest

from app.errors import ModelNotReady, UnknownModel
from app.runtime.loaded_model import load_model
from app.runtime.pins import PinFile
from app.runtime.registry import Registry
from app.runtime.watch import Watch


@pytest.fixture
def registry(models, make_bundle):
    make_bundle(models, "birds", 1, folder=models / "birds/1")
    registry = Registry([models], partial(load_model, device="cpu"), pin_file=PinFile(models))
    registry.load_all()
    return registry


@pytest.fixture
def watch(registry):
    return Watch(registry, incomplete_s=1e9)


@pytest.fixture
def add(make_bundle, models):
    return lambda version, name="birds": (
        make_bundle(models, name, version, folder=models / f"{name}/{version}").folder
    )


def polls(watch, times=3):
    for _ in range(times):
        watch.poll()


def wait_until(condition):
    for _ in range(24_000):
        if condition():
            return
        time.sleep(0.005)
    pytest.fail("the condition stayed false")


def loads(registry):
    return dict(registry.promotions)


def test_a_new_version_is_promoted_once_its_files_are_at_rest(registry, watch, add):
    watch.poll()
    add(2)
    watch.poll()
    assert registry.resolve("birds").version == 1
    watch.poll()
    assert registry.resolve("birds").version == 2
    polls(watch)
    assert loads(registry) == {("birds", "promoted"): 2}


def test_a_new_model_is_promoted_and_the_default_stays(registry, watch, add):
    add(1, "bees")
    polls(watch)
    assert registry.resolve("bees").version == 1
    assert registry.resolve().name == "birds"


def test_a_replaced_bundle_is_promoted(registry, watch, make_bundle, models):
    labels = ("rouge", "vert", "bleu")
    make_bundle(models, "birds", 1, folder=models / "birds/1", labels=labels)
    polls(watch)
    assert registry.resolve("birds").manifest.labels[0].name == "rouge"


def test_a_half_copied_bundle_waits_without_a_line_in_the_log(registry, watch, add, models, caplog):
    whole = add(2)
    elsewhere = whole.rename(models.parent / "elsewhere")
    whole.mkdir()
    for name in ("bundle.json", "golden", "README.md", "model.onnx"):
        source = elsewhere / name
        if name == "model.onnx":
            content = source.read_bytes()
            for end in (0, 10, len(content) - 1):
                (whole / name).write_bytes(content[:end])
                polls(watch)
        elif source.is_dir():
            shutil.copytree(source, whole / name)
        elif source.exists():
            shutil.copy(source, whole / name)
        polls(watch)
        assert registry.resolve("birds").version == 1
    assert loads(registry) == {("birds", "promoted"): 1}
    assert caplog.text == ""
    (whole / "model.onnx").write_bytes(content)
    polls(watch)
    assert registry.resolve("birds").version == 2


def test_an_incomplete_bundle_at_rest_is_refused_once_with_its_reason(registry, add, caplog):
    watch = Watch(registry, incomplete_s=0)
    folder = add(2)
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[:100])
    polls(watch, 10)
    assert loads(registry)["birds", "refused"] == 1
    assert caplog.text.count("is refused") == 1
    (entry,) = [e for e in registry.entries if e.version == 2]
    assert "model.onnx has 100 bytes" in entry.reason
    (folder / "model.onnx").write_bytes(content)
    polls(watch)
    assert registry.resolve("birds").version == 2


@pytest.mark.parametrize("how", ["changed byte", "broken manifest"])
def test_a_broken_bundle_is_refused_once(registry, add, caplog, how):
    watch = Watch(registry, incomplete_s=0)
    folder = add(2)
    if how == "changed byte":
        content = (folder / "model.onnx").read_bytes()
        (folder / "model.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        (folder / "bundle.json").write_text("{")
    polls(watch, 10)
    assert loads(registry)["birds", "refused"] == 1
    assert caplog.text.count("is refused") == 1
    assert registry.resolve("birds").version == 1


def test_a_file_beside_the_bundle_changes_nothing(registry, watch, models):
    (models / "birds/1/notes.txt").write_text("mine")
    (models / "birds/1/README.md").write_text("edited")
    polls(watch)
    assert loads(registry) == {("birds", "promoted"): 1}


def test_pinned_and_held_versions_stay_as_they_are(registry, watch, add):
    add(2)
    polls(watch)
    registry.roll_back("birds")
    polls(watch)
    assert registry.resolve("birds").version == 1
    add(3)
    polls(watch)
    assert registry.resolve("birds").version == 1
    assert registry.resolve("birds", 3).version == 3
    registry.reload("birds")
    assert registry.resolve("birds").version == 3


def test_an_unloaded_model_stays_unloaded(registry, watch, add):
    add(2)
    polls(watch)
    registry.unload("birds")
    polls(watch)
    with pytest.raises(ModelNotReady, match="unloaded"):
        registry.resolve("birds")


def test_a_missing_folder_is_logged_once_and_its_model_serves_on(registry, watch, models, caplog):
    (models / "birds").rename(models.parent / "gone")
    polls(watch, 5)
    assert registry.resolve("birds").version == 1
    assert caplog.text.count("is missing or can't be read; model birds version 1 serves on") == 1
    (models.parent / "gone").rename(models / "birds")
    polls(watch)
    assert loads(registry) == {("birds", "promoted"): 1}


def test_choices_of_another_process_are_followed(registry, watch, add, models, caplog):
    caplog.set_level(logging.INFO)
    add(2)
    polls(watch)
    other = Registry([models], partial(load_model, device="cpu"), pin_file=PinFile(models))
    other.load_all()
    other.roll_back("birds")
    polls(watch)
    assert registry.resolve("birds").version == 1
    (models / "pins.json").write_text("{")
    polls(watch, 5)
    assert registry.resolve("birds").version == 1
    assert caplog.text.count("pins.json can't be used") == 1


def test_an_unexpected_error_does_not_end_the_thread(registry, add, monkeypatch, caplog):
    calls = []

    def fail_twice(roots):
        calls.append(roots)
        if len(calls) < 3:
            raise OSError(5, "Input/output error")
        return original(roots)

    from app.runtime import watch as module

    original = module.discover
    monkeypatch.setattr(module, "discover", fail_twice)
    add(2)
    with Watch(registry, interval_s=0.01) as watch:
        wait_until(lambda: registry.resolve("birds").version == 2)
    assert not watch._thread.is_alive()
    assert caplog.text.count("can't be watched: OSError") == 1


def test_the_watch_ends_with_the_block(registry, add):
    with Watch(registry, interval_s=0.01):
        add(2)
        wait_until(lambda: registry.resolve("birds").version == 2)
    add(3)
    with pytest.raises(UnknownModel):
        registry.resolve("birds", 3)
