"""What the C library does with freed memory, seen in a process of its own."""

import ctypes
import subprocess
import sys

import pytest

SECOND_USE = """
import resource
import numpy as np
from app.runtime import memory
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
def test_a_block_that_is_kept_needs_no_new_pages():
    kept, returned = _faults("memory.keep_large_blocks()"), _faults("memory.return_large_blocks()")
    assert kept < returned / 10
