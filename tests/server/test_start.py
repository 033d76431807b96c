"""How a server starts: models load while the application is imported."""

import gc
import threading
from types import SimpleNamespace

import pytest

from app import main
from app.server import draining, start
from app.settings import Settings


@pytest.fixture
def fakes(monkeypatch):
    """Models that have loaded when `loaded` is set, and an application that notes what it gets."""
    made = SimpleNamespace(loaded=threading.Event(), served=[])
    registry = SimpleNamespace(load_all=made.loaded.set)
    made.loading = SimpleNamespace(registry=registry)
    service = SimpleNamespace(lifecycle="lifecycle")
    made.app = SimpleNamespace(state=SimpleNamespace(service=service))

    def create_app(settings, loading):
        assert made.loaded.wait(10), "nothing loads beside the application"
        assert loading is made.loading
        assert not gc.isenabled()
        return made.app

    def serve(*given):
        made.served.append((*given, gc.isenabled()))

    monkeypatch.setattr(start, "find_models", lambda *_: made.loading)
    monkeypatch.setattr(main, "create_app", create_app)
    monkeypatch.setattr(draining, "serve", serve)
    yield made
    gc.unfreeze()


def test_models_load_while_the_application_is_made(fakes):
    start.serve(Settings(drain_s=3), "listener")
    assert fakes.served == [(fakes.app, "listener", "lifecycle", 3, True)]
    assert gc.get_freeze_count() > 0


def test_what_fails_in_loading_is_left_to_the_application(fakes):
    def fail():
        fakes.loaded.set()
        raise OSError("the device is gone")

    fakes.loading.registry.load_all = fail
    start.serve(Settings(), "listener")
    assert len(fakes.served) == 1


def test_garbage_is_collected_again_after_a_start_that_fails(fakes, monkeypatch):
    def fail(*_):
        raise ValueError("a key file can't be read")

    monkeypatch.setattr(main, "create_app", fail)
    with pytest.raises(ValueError, match="key file"):
        start.serve(Settings(), "listener")
    assert gc.isenabled()
