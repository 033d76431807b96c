"""Limits that the process of a job gives itself before it begins: priority, memory, its end.

priority   nice and idle input and output, and one core less than the service has
memory     RLIMIT_DATA: what numpy, ONNX Runtime and torch allocate; files that are mapped don't
           count
its end    the end of standard input, or of the process that started it, kills its group
"""

import ctypes
import os
import resource
import signal
import sys
import threading
from contextlib import suppress

from app.runtime.host import available_cores
from app.thread_priority import BEHIND_EVENT_LOOP

NICE = BEHIND_EVENT_LOOP + 5
"""A third of the processor time that a thread of the engine gets, where both compete for a core. At
10 less it would get a thirtieth: under load it would never end."""
_PR_SET_PDEATHSIG = 1
_SYS_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_IOPRIO_WHO_PROCESS, _IOPRIO_IDLE = 1, 3 << 13


def threads_for_job() -> int:
    """Return the threads of a job: all cores but one, which the service keeps."""
    return max(1, available_cores() - 1)


def lower_priority() -> None:
    """Let the service go first, for processors and disks."""
    with suppress(OSError):
        os.nice(NICE)
    if hasattr(os, "SCHED_BATCH"):  # it waits for its turn when it wakes, and interrupts nobody
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    number = _SYS_IOPRIO_SET.get(os.uname().machine)
    if sys.platform == "linux" and number is not None:
        ctypes.CDLL(None).syscall(number, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_IDLE)
    if hasattr(os, "sched_setaffinity"):
        # libraries count the cores of the affinity, and start as many threads
        cores = sorted(os.sched_getaffinity(0))
        first = os.getpid() % len(cores)  # not the same core as other services' jobs
        os.sched_setaffinity(0, (cores + cores)[first : first + threads_for_job()])


def limit_memory(most_bytes: int) -> None:
    """Let allocations fail beyond `most_bytes`."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = most_bytes if hard == resource.RLIM_INFINITY else min(most_bytes, hard)
    with suppress(OSError, ValueError):  # macOS has the limit, and doesn't enforce it
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def end_with_service(service: int) -> None:
    """End this process group when the service ends, however that happens.

    Args:
        service: the process id of the service.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the service's, which ends the job
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != service:  # it ended before this line
            _end()
    threading.Thread(target=_end_with_input, name="service", daemon=True).start()


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    _end()


def _end() -> None:
    os.killpg(0, signal.SIGKILL)
