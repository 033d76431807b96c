"""The C library's handling of freed memory, observed in a process of its own."""

import ctypes
import subprocess
import sys

import pytest

SECOND_USE = """
import resource
import numpy as np
from app.runtime import host
{before}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(64 << 20, np.uint8)
began = faults()
np.ones(64 << 20, np.uint8)
print(faults() - began)
"""


def _faults(before: str) -> int:
    run = [sys.executable, "-c", SECOND_USE.format(before=before)]
    return int(subprocess.run(run, check=True, capture_output=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc")
def test_a_kept_block_needs_no_new_pages():
    kept, returned = _faults("host.keep_large_blocks()"), _faults("host.return_large_blocks()")
    assert kept < returned / 10


FREE_IN_A_THREAD = """
import ctypes
import os
import threading
from app.runtime import host
host.return_large_blocks()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
def load():
    began = resident()
    blocks = [libc.malloc(10_000) for _ in range(2400)]
    for block in blocks:
        libc.memset(block, 1, 10_000)
    held = resident() - began
    for block in blocks:
        libc.free(block)
    host.release_memory()
    print(held, resident() - began)
thread = threading.Thread(target=load)
thread.start()
thread.join()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc")
def test_memory_freed_in_a_thread_is_returned_to_the_end_of_its_arena():
    run = [sys.executable, "-c", FREE_IN_A_THREAD]
    held, left = map(int, subprocess.run(run, check=True, capture_output=True).stdout.split())
    assert held > 20e6
    assert left < held / 30
