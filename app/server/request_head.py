"""The checks of a request's head that the parser leaves to the server (RFC 9110, RFC 9112).

Host                 -> exactly one in HTTP/1.1, at most one in HTTP/1.0: else 400
Transfer-Encoding    -> chunked alone; other codings before it: 501; any other order: 400
Upgrade, CONNECT     -> an upgrade is ignored, as the server may; CONNECT: 405

The parser itself rejects a Content-Length that is repeated, invalid or beside Transfer-Encoding.
"""

import re
from collections.abc import Sequence

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case and values, in the order in which they arrived."""

_HOST = re.compile(rb"[A-Za-z0-9.\-_~%!$&'()*+,;=:\[\]]*")
"""The characters of a host and a port (RFC 3986, section 3.2.2)."""
_OF_UPGRADE = (b"upgrade", b"http2-settings")
"""Headers of an upgrade; `Connection` names them, too."""


class HeadRejected(Exception):
    """The head of a request is rejected before the application sees it.

    Attributes:
        status: the HTTP status.
        code: the stable code of the problem.
        title: the kind of problem in a few words.
    """

    def __init__(self, status: int, code: str, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.title = title


def check_head(version: str, headers: Headers) -> None:
    """Check the headers on which the routing and the framing of a request depend.

    Args:
        version: the version of HTTP, such as `1.1`.
        headers: the request's headers.

    Raises:
        HeadRejected: the version, `Host` or `Transfer-Encoding` is not acceptable.
    """
    hosts = 0
    codings = None
    for name, value in headers:
        if name == b"host":
            hosts += 1
            if not _HOST.fullmatch(value):
                raise _bad("The Host header is invalid. Send the host and port of the URL.")
        elif name == b"transfer-encoding":
            codings = value if codings is None else codings + b"," + value
    if version not in ("1.1", "1.0"):
        text = f"HTTP/{version} is not supported. Send HTTP/1.1."
        raise HeadRejected(505, "http_version_not_supported", "Version not supported", text)
    if hosts > 1:
        raise _bad("There is more than one Host header. Send one.")
    if not hosts and version == "1.1":
        raise _bad("The Host header is missing. Send one, as HTTP/1.1 requires.")
    if codings is not None and codings.lower() != b"chunked":
        _reject_codings(codings)


def _reject_codings(codings: bytes) -> None:
    names = [name.strip() for name in codings.lower().split(b",")]
    if names[-1] != b"chunked" or names.count(b"chunked") > 1:
        raise _bad("The last transfer coding must be chunked, once. Send 'chunked' alone.")
    text = (
        f"Transfer-Encoding {codings.decode('latin-1')} is not supported. "
        "Send the body without compression, as 'chunked' or with Content-Length."
    )
    raise HeadRejected(501, "transfer_coding_not_supported", "Coding not supported", text)


def _bad(detail: str) -> HeadRejected:
    return HeadRejected(400, "bad_request", "Bad request", detail)


def head_without_upgrade(method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
    """Return a request's head without its request to upgrade the connection.

    The parser takes everything after a head with `Upgrade` for another protocol, so it must read
    such a head a second time to find the body. Clients such as Java's and `curl --http2` ask for an
    upgrade with every first request, and go on in HTTP/1.1 if the response is in HTTP/1.1.

    Args:
        method: the request's method.
        target: the request's target, as it was sent.
        version: the version of HTTP, such as `1.1`.
        headers: the request's headers.
    """
    lines = [b"%s %s HTTP/%s" % (method, target, version.encode())]
    for name, value in headers:
        if name in _OF_UPGRADE:
            continue
        if name == b"connection":
            options = [option.strip() for option in value.split(b",")]
            kept = b", ".join(o for o in options if o.lower() not in _OF_UPGRADE)
            lines.append(b"connection: " + kept)
        else:
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])
