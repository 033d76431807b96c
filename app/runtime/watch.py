"""The watch over the models folder: it promotes new bundles without a request or a restart.

    every few seconds: the pin file -> the registry follows it
                       each bundle -> as it was tried before?        nothing
                                   -> still changing?                wait
                                   -> incomplete?                    wait, half a minute at most
                                   -> `Registry.promote`, once for each state of its files

It polls, because network file systems report no changes. A model is never unloaded: a folder that
is missing is logged once.
"""

import logging
import time
from pathlib import Path
from typing import Self

from app.errors import PinFileInvalid
from app.periodic import Periodic
from app.runtime.discovery import Stamp, discover, is_complete, stamp_of
from app.runtime.registry import Registry

INTERVAL_S = 2.0
"""A bundle is promoted if its files haven't changed for this long."""
_INCOMPLETE_S = 30.0
"""A bundle that lacks files or bytes is tried, and refused, once it is unchanged for this long."""

log = logging.getLogger(__name__)


class Watch(Periodic):
    """A thread that polls the models folder; a context manager that starts and ends it.

    Args:
        registry: the registry whose folders are polled; all models are loaded already.
        interval_s: seconds between two polls.
        incomplete_s: seconds for which an incomplete bundle must be unchanged to be tried.
    """

    def __init__(
        self,
        registry: Registry,
        interval_s: float = INTERVAL_S,
        incomplete_s: float = _INCOMPLETE_S,
    ) -> None:
        self._registry = registry
        self._incomplete_s = incomplete_s
        self._changing: dict[Path, tuple[Stamp, float]] = {}
        """The newest state of each bundle that has changed, and when it was first seen."""
        self._missing: set[Path] = set()
        self._last_error = ""
        super().__init__(self._poll, interval_s, "watch")

    def __enter__(self) -> Self:
        """Start the thread."""
        log.info("the models folder is watched for new bundles")
        return super().__enter__()

    def _poll(self) -> None:
        try:
            self.poll()
        except Exception as err:  # an error of the file system is logged once, not every time
            self._report(f"{type(err).__name__}: {err}")

    def _report(self, error: str) -> None:
        """Log the error of a poll unless the poll before had the same; empty for none."""
        if error and error != self._last_error:
            log.error("the models folder can't be watched: %s", error)
        self._last_error = error

    def poll(self) -> None:
        """Look at the pin file and at all bundles once, and promote those that are due."""
        error = ""
        try:
            self._registry.follow_pin_file()
        except PinFileInvalid as err:
            error = str(err)
        found = list(discover(self._registry.roots))
        self._note_missing(found)
        for folder in found:
            if self._is_due(folder) and not self.is_ending:
                self._changing.pop(folder, None)
                self._registry.promote(folder)
        self._report(error)

    def _is_due(self, folder: Path) -> bool:
        """Return whether the bundle has changed since it was tried, and is at rest."""
        stamp, now = stamp_of(folder), time.monotonic()
        if self._registry.loader.has_tried(folder, stamp):
            self._changing.pop(folder, None)
            return False
        before, since = self._changing.get(folder, (None, now))
        if stamp != before:
            self._changing[folder] = stamp, now
            return False
        return is_complete(folder) or now - since >= self._incomplete_s

    def _note_missing(self, found: list[Path]) -> None:
        missing = {e.folder: e for e in self._registry.entries if e.ready and e.folder not in found}
        for folder in missing.keys() - self._missing:
            entry = missing[folder]
            log.warning(
                "%s is missing or can't be read; model %s version %s serves on",
                folder,
                entry.name,
                entry.version,
            )
        self._missing = set(missing)
