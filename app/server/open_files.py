"""The limit of open files, and how many connections it allows.

start -> the soft limit is raised, as Go's and Java's runtimes do: shells give 1,024
connection over the limit -> 503, closed; logged once a minute; the others go on

Without a limit of its own the process would reach that of the system. Then the event loop drops
connections without a word, and files of models and reports can't be opened either.
"""

import contextlib
import logging
import resource
import time

log = logging.getLogger("hubel")

MAX_CONNECTIONS = 4096
"""Each may hold a head of 64 KB, so that these hold 256 MB at worst."""
MAX_HANDSHAKES = 1024
"""Connections over TLS that are no requests yet. They hold files, too."""
_RESERVED_FILES = 64
"""Files, sockets and pipes of the process itself, with room for some that are opened briefly."""
_TARGET_FILES = 16_384
_LOG_INTERVAL_S = 60.0


def raise_limit() -> None:
    """Raise the soft limit of open files as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = _TARGET_FILES if hard == resource.RLIM_INFINITY else min(hard, _TARGET_FILES)
    if soft != resource.RLIM_INFINITY and soft < target:
        with contextlib.suppress(OSError, ValueError):  # macOS has a further limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


class ConnectionLimit:
    """The number of connections that may be open at once.

    Args:
        tls: whether connections begin with a handshake; a fifth of the limit is theirs then.
    """

    def __init__(self, *, tls: bool = False) -> None:
        self._files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.connections, self.handshakes = MAX_CONNECTIONS, MAX_HANDSHAKES
        if self._files != resource.RLIM_INFINITY:
            allowed = max(self._files - _RESERVED_FILES, self._files // 2)
            if tls:
                self.handshakes = max(1, min(MAX_HANDSHAKES, allowed // 5))
                allowed -= self.handshakes
            self.connections = min(MAX_CONNECTIONS, allowed)
        self._refused = 0
        self._log_at = 0.0

    def admits(self, connections: int) -> bool:
        """Return whether `connections` are within the limit, and log now and then if not."""
        if connections <= self.connections:
            return True
        self._refused += 1
        now = time.monotonic()
        if now >= self._log_at:
            self._log_at = now + _LOG_INTERVAL_S
            log.warning(
                "%d connections are open, the limit; %d got 503 since the last such line. "
                "The limit of open files is %d: raise it with ulimit -n, up to %d are used.",
                self.connections,
                self._refused,
                self._files,
                _TARGET_FILES,
            )
            self._refused = 0
        return False
