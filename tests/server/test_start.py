"""The start of a server: models load while the application is imported."""

import gc
import threading
from types import SimpleNamespace

import pytest

from app import main
from app.server import draining, start
from app.settings import Settings

LISTENER = SimpleNamespace(getsockname=lambda: ("127.0.0.1", 8000))


@pytest.fixture
def fakes(monkeypatch):
    """Fake models that set `loaded`, and a fake application whose start is recorded."""
    state = SimpleNamespace(loaded=threading.Event(), served=[])
    registry = SimpleNamespace(load_all=state.loaded.set)
    state.created = SimpleNamespace(registry=registry)
    service = SimpleNamespace(lifecycle="lifecycle")
    state.app = SimpleNamespace(state=SimpleNamespace(service=service))

    def create_app(settings, created, tracing):
        assert state.loaded.wait(10), "no model loads while the application is imported"
        assert created is state.created
        assert not gc.isenabled()
        return state.app

    def serve(*arguments):
        state.served.append((*arguments, gc.isenabled()))

    monkeypatch.setattr(start, "create_registry", lambda *_, **__: state.created)
    monkeypatch.setattr(main, "create_app", create_app)
    monkeypatch.setattr(draining, "serve", serve)
    yield state
    gc.unfreeze()


def test_models_load_while_the_application_is_created(fakes):
    start.serve(Settings(drain_s=3), LISTENER)
    assert fakes.served == [(fakes.app, LISTENER, "lifecycle", 3, None, True)]
    assert gc.get_freeze_count() > 0


def test_an_error_in_loading_is_left_to_the_application(fakes):
    def fail():
        fakes.loaded.set()
        raise OSError("the device is gone")

    fakes.created.registry.load_all = fail
    start.serve(Settings(), LISTENER)
    assert len(fakes.served) == 1


def test_garbage_collection_resumes_after_a_failed_start(fakes, monkeypatch):
    def fail(*_):
        raise ValueError("a key file can't be read")

    monkeypatch.setattr(main, "create_app", fail)
    with pytest.raises(ValueError, match="key file"):
        start.serve(Settings(), LISTENER)
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (("127.0.0.1", 8000), "http://127.0.0.1:8000"),
        (("0.0.0.0", 80), "http://127.0.0.1:80"),
        (("::", 8000, 0, 0), "http://[::1]:8000"),
        (("192.0.2.7", 9000), "http://192.0.2.7:9000"),
    ],
    ids=["loopback", "every address", "every IPv6 address", "one address"],
)
def test_the_first_line_of_the_log_names_the_page(fakes, caplog, address, url):
    caplog.set_level("INFO")
    start.serve(Settings(), SimpleNamespace(getsockname=lambda: address))
    assert caplog.messages[0] == f"Hubel starts at {url}; the documents are at {url}/docs"
