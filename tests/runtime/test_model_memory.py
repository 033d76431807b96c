"""Models and requests share the memory of the process."""

from types import SimpleNamespace

import pytest

from app.errors import TooMuchMemory
from app.memory_budget import MemoryBudget
from app.runtime.model_memory import ModelMemory, model_bytes
from app.runtime.process_memory import LEAST_BYTES, WORKSPACE_BYTES, MemoryLimit

MB = 1_000_000


class Registry:
    """The part of a registry that is used."""

    def __init__(self, *file_bytes):
        self.entries = tuple(map(entry, file_bytes))

    def change(self, *file_bytes):
        self.entries = tuple(map(entry, file_bytes))
        self.on_change()


def entry(file_bytes):
    if file_bytes is None:
        return SimpleNamespace(model=None)
    files = {"model.onnx": SimpleNamespace(bytes=file_bytes)}
    session = SimpleNamespace(precision="fp32")
    return SimpleNamespace(
        model=SimpleNamespace(manifest=SimpleNamespace(files=files), session=session)
    )


@pytest.fixture
def budgets():
    whole = MemoryBudget(1)
    return whole, whole.part(1)


def settle(budgets, registry, *, used=200 * MB, limit=1000 * MB, max_body_bytes=100 * MB):
    limits = [MemoryLimit("its cgroup", limit, used, 0.7)]
    memory = ModelMemory(*budgets, max_body_bytes, registry, 2, lambda: limits)
    memory.settle()


def test_requests_get_what_the_loaded_models_leave(budgets, caplog):
    settle(budgets, Registry(10 * MB))
    whole, bodies = budgets
    assert whole.total_bytes == 500 * MB - 2 * WORKSPACE_BYTES
    assert bodies.total_bytes == 100 * MB


def test_bodies_get_at_most_half(budgets):
    settle(budgets, Registry(10 * MB), max_body_bytes=10**12)
    whole, bodies = budgets
    assert bodies.total_bytes == whole.total_bytes // 2


def test_a_model_that_is_loaded_or_unloaded_later_changes_what_is_left(budgets):
    registry = Registry(10 * MB)
    settle(budgets, registry)
    whole, _ = budgets
    before = whole.total_bytes
    registry.change(10 * MB, 40 * MB)
    assert whole.total_bytes == before - model_bytes(entry(40 * MB).model)
    registry.change(None)
    assert whole.total_bytes == before + model_bytes(entry(10 * MB).model)


def test_requests_never_get_less_than_an_ordinary_photo_needs(budgets, caplog):
    registry = Registry(10 * MB)
    settle(budgets, registry, limit=300 * MB)
    whole, _ = budgets
    assert whole.total_bytes == LEAST_BYTES
    assert "too little for large images" in caplog.text
    registry.change(10 * MB, 900 * MB)
    assert whole.total_bytes == LEAST_BYTES


def test_a_bundle_holds_memory_while_it_is_loaded(budgets, tmp_path):
    registry = Registry()
    settle(budgets, registry)
    whole, _ = budgets
    (tmp_path / "model.onnx").write_bytes(bytes(4 * MB))
    with registry.while_loading(tmp_path):
        assert whole.held_bytes == 10 * MB
    assert whole.held_bytes == 0


def test_a_bundle_larger_than_the_budget_is_loaded_beside_traffic(budgets, tmp_path):
    registry = Registry()
    settle(budgets, registry)
    whole, _ = budgets
    with (tmp_path / "model.onnx").open("wb") as file:
        file.truncate(2000 * MB)
    assert whole.try_take(whole.total_bytes // 3)
    with registry.while_loading(tmp_path):
        assert whole.held_bytes < whole.total_bytes


def test_a_bundle_is_tried_only_if_requests_keep_enough_memory(budgets, tmp_path):
    registry = Registry(10 * MB)
    settle(budgets, registry)
    whole, _ = budgets
    spare_bytes = whole.total_bytes - LEAST_BYTES
    for file_bytes, fits in ((spare_bytes / 2.5 - MB, True), (spare_bytes / 2.5 + MB, False)):
        with (tmp_path / "model.onnx").open("wb") as file:
            file.truncate(int(file_bytes))
        if fits:
            registry.check_memory(tmp_path)
        else:
            with pytest.raises(TooMuchMemory, match=r"can be spared\. Unload a model"):
                registry.check_memory(tmp_path)
