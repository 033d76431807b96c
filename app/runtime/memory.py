"""What becomes of memory that was freed: back to the system at once, or kept for the next use.

glibc keeps what ONNX Runtime frees, in the arena of whichever thread loaded the model: after 35
reloads of the default model a process had 148 MB without this, and 93 to 108 MB with it. A process
that trains wants the opposite.
"""

import ctypes
from functools import cache

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
"""From malloc.h."""
_LARGE_BYTES = 8 << 20
_KEPT_BYTES = 4 * _LARGE_BYTES
"""Free at the end of an arena, for the next photo."""
_CONSOLIDATED_BYTES = 1 << 17
"""A block of this size makes `free` look at the end of its arena."""
_INT_MAX = (1 << 31) - 1


@cache
def _libc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None)
    except OSError:
        return None
    if not hasattr(libc, "malloc_trim"):
        return None
    libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    return libc


def return_large_blocks() -> None:
    """Have blocks of a big picture returned as soon as they are freed; for a process that serves.

    glibc raises its own threshold to the largest block that was ever freed, and from then on keeps
    such blocks, in each thread's arena: after a few pictures of 50 million pixels a process had
    1,046 MB at its peak. What a photo of ordinary size needs stays in the arenas, which is faster.
    """
    if libc := _libc():
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def keep_large_blocks() -> None:
    """Have freed blocks of any size used again; for a process that trains.

    Each step allocates the same hundreds of megabytes. glibc maps blocks of that size anew each
    time, and the system has to clear every page of them, a fifth of a step (DECISIONS.md).
    """
    if libc := _libc():
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _INT_MAX)
        libc.mallopt(_M_TOP_PAD, 32 * _LARGE_BYTES)


def release() -> None:
    """Give freed memory back where the C library can; for the thread of a server that freed much.

    `malloc_trim` leaves alone what lies at the end of a thread's arena, and `free` gives that back
    where it is over the threshold. It takes a few milliseconds.
    """
    if libc := _libc():
        libc.malloc_trim(0)
        libc.mallopt(_M_TRIM_THRESHOLD, 0)
        libc.free(libc.malloc(_CONSOLIDATED_BYTES))
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
