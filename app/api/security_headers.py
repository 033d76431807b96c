"""The header fields that tell browsers to be strict; every response has them."""

from collections.abc import Sequence

Headers = Sequence[tuple[bytes, bytes]]

SECURITY_HEADERS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
TLS_HEADERS: Headers = ((b"strict-transport-security", b"max-age=31536000"),)
"""Browsers that have seen it use HTTPS alone for a year."""


def security_headers(*, tls: bool) -> Headers:
    """Return the header fields of every response, with those for TLS if it is used."""
    return (*SECURITY_HEADERS, *TLS_HEADERS) if tls else SECURITY_HEADERS


def lines_of(headers: Headers) -> bytes:
    """Return header fields as the lines of a response, each with its line end."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)
