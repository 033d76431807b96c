"""A thread that copies what is new in the model store."""

import logging

from app.errors import ModelStoreUnavailable
from app.model_store.store import ModelStore
from app.periodic import Periodic

INTERVAL_S = 30.0
"""The time between two looks at the store while the models folder is watched."""

log = logging.getLogger("hubel")


class StoreWatch(Periodic):
    """A thread that fetches what is new in the store; a context manager that starts and ends it."""

    def __init__(self, store: ModelStore, interval_s: float = INTERVAL_S) -> None:
        self._store = store
        self._last_error = ""
        super().__init__(self._fetch, interval_s, "model store")

    def _fetch(self) -> None:
        error = ""
        try:
            self._store.fetch()
        except ModelStoreUnavailable as err:
            error = str(err)
        if error and error != self._last_error:  # logged once, not every time
            log.error("%s", error)
        self._last_error = error
