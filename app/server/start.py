"""The start of a server: models load on a thread while the application is imported.

settings -> a bound socket -> models are loaded and verified, on a thread
                           -> meanwhile: FastAPI, the routes and their schemas are imported
         -> both are done: serve

Loading and importing take half a second each. Loading is mostly ONNX Runtime and hashing, which
release the interpreter's lock for the imports.
"""

import gc
import logging
import os
import socket
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.runtime import host
from app.runtime.host import available_cores
from app.runtime.registry_and_device import create_registry
from app.server.address import page_url
from app.server.stalled_writes import bound_kernel_buffer
from app.settings import Settings

if TYPE_CHECKING:
    from app.server.certificate import Certificate

log = logging.getLogger("hubel")


def bind(address: str, port: int) -> socket.socket:
    """Return a socket that is bound to `address`:`port`.

    Raises:
        OSError: the address is not available.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound_kernel_buffer(listener)
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve on `listener` until SIGTERM or SIGINT.

    Raises:
        DeviceUnavailable: the requested device is not available.
        BadParameter: the folder of models, the keys file or the certificate can't be read.
        ModelStoreUnavailable: the model store can't be read, and there are no copies.
        ValueError: a key file can't be read.
    """
    certificate = _certificate(settings)
    host.return_large_blocks()
    with _garbage_collection_paused():
        created = create_registry(
            settings.models,
            settings.device,
            settings.default_model,
            available_cores(),
            cache=settings.models_cache,
            data_dir=settings.data_dir,
        )
        url = page_url(listener, tls=certificate is not None)
        log.info("Hubel starts at %s; the documents are at %s/docs", url, url)
        loader = ThreadPoolExecutor(1, "loader")
        # the application's start calls `load_all` too: it waits, and loads again after an error
        loader.submit(created.registry.load_all)
        loader.shutdown(wait=False)
        from app import main
        from app.api.tracing.configuration import create_tracing
        from app.server import draining

        app = main.create_app(settings, created, create_tracing(os.environ))
    draining.serve(app, listener, app.state.service.lifecycle, settings.drain_s, certificate)


def _certificate(settings: Settings) -> "Certificate | None":
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    from app.server.certificate import Certificate

    return Certificate(settings.tls_cert, settings.tls_key)


@contextmanager
def _garbage_collection_paused() -> Generator[None, None, None]:
    """Pause garbage collection during imports, which produce little garbage.

    Afterwards, imported modules are frozen: later collections skip them.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
