"""The priority of threads that work on images: below that of the event loop."""

import os
import sys
import threading
from contextlib import suppress

BEHIND_EVENT_LOOP = 5
"""The nice value that is added: a third of the event loop's weight, where both compete for a core.
With equal weights the loop gets too little of two cores at ten times the capacity: requests wait
for seconds until they are refused."""


def go_behind_event_loop() -> None:
    """Lower the priority of the calling thread, on Linux; elsewhere all threads have the same."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):  # what a sandbox forbids changes no result
            nice = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, nice + BEHIND_EVENT_LOOP)
