"""The start of a server: its models load while the application is imported.

settings -> an address to listen on -> models, verified on a thread
                                    -> FastAPI, the routes and their schemas, meanwhile
         -> both done: answer

Either takes half a second. Loading is mostly ONNX Runtime and hashing, which leave the interpreter
to the imports.
"""

import gc
import socket
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from app.runtime import host
from app.runtime.host import available_cores
from app.runtime.registry import find_models
from app.settings import Settings


def bind(host: str, port: int) -> socket.socket:
    """A socket at `host`:`port` that can be listened on.

    Raises:
        OSError: the address can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve on `listener` until SIGTERM or SIGINT.

    Raises:
        DeviceUnavailable: the device that is asked for can't be had.
        BadParameter: the folder of models can't be read.
        ValueError: a key file can't be read.
    """
    host.return_large_blocks()
    with _no_collections():
        loading = find_models(
            settings.models, settings.device, settings.default_model, available_cores()
        )
        loader = ThreadPoolExecutor(1, "loader")
        loader.submit(loading.registry.load_all)  # what it raises, the application raises again
        loader.shutdown(wait=False)
        from app import main
        from app.server import draining

        app = main.create_app(settings, loading)
    draining.serve(app, listener, app.state.service.lifecycle, settings.drain_s)


@contextmanager
def _no_collections() -> Generator[None, None, None]:
    """Import without looking for garbage, of which imports make little; nor later among modules."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
