"""TLS: the certificate and its key, which are read again when they are renewed.

HUBEL_TLS_CERT, HUBEL_TLS_KEY -> `Certificate` -> a context, which each new connection is given
a change of one of the files  -> a new context; if it can't be made, the old one stays, logged
"""

import logging
import ssl
from pathlib import Path

from app.errors import BadParameter
from app.periodic import Periodic

log = logging.getLogger("hubel")

_INTERVAL_S = 10.0
"""The time within which a renewed certificate takes effect."""
_PROTOCOLS = ["http/1.1"]


class Certificate(Periodic):
    """A certificate and its key; a context manager that follows their files.

    Args:
        certificate: file with the certificate and those that it is issued by, as PEM.
        key: file with its key, as PEM and without a password.
        interval_s: seconds between two looks at the files.

    Raises:
        BadParameter: a file can't be read, or they aren't a certificate and its key.
    """

    def __init__(self, certificate: Path, key: Path, interval_s: float = _INTERVAL_S) -> None:
        self._files = certificate, key
        self._stamp = self._stamp_on_disk()
        self._last_error = ""
        self.context = _context(*self._files)
        super().__init__(self.follow, interval_s, "certificate")

    def follow(self) -> None:
        """Make a new context if a file has changed."""
        stamp = self._stamp_on_disk()
        if stamp == self._stamp:
            return
        try:
            self.context = _context(*self._files)
        except BadParameter as err:  # tried again at each look, and logged once
            if str(err) != self._last_error:
                log.error("The certificate stays as it was: %s", err)
            self._last_error = str(err)
        else:
            self._stamp, self._last_error = stamp, ""
            log.info("%s has changed; new connections get the new certificate", self._files[0])

    def _stamp_on_disk(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(file) for file in self._files]


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(_PROTOCOLS)
    for name, file in (("HUBEL_TLS_CERT", certificate), ("HUBEL_TLS_KEY", key)):
        _check_readable(name, file)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as err:
        if err.reason == "KEY_VALUES_MISMATCH":
            reason = f"The key in {key} is not that of the certificate in {certificate}"
        else:
            reason = f"{certificate} and {key} are no certificate and its key without a password"
        raise BadParameter(
            f"{reason}. Write both as PEM, the certificate followed by those that it is issued by."
        ) from err
    return context


def _check_readable(name: str, file: Path) -> None:
    try:
        file.open("rb").close()
    except OSError as err:
        raise BadParameter(
            f"{name}={file} can't be read ({err.strerror}). Name a file that this user may read."
        ) from err


def _no_password() -> str:
    """Return a wrong password, so that nobody is asked for one on the terminal."""
    return ""
