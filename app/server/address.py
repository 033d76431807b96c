"""The address of the page, for the log."""

import socket

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that stand for every one of the machine, and one of them."""


def page_url(listener: socket.socket, *, tls: bool = False) -> str:
    """Return the address of the page, as a browser on this machine opens it."""
    scheme = "https" if tls else "http"
    address, port = listener.getsockname()[:2]
    host = _ANY.get(address, address)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
