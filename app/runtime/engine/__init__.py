"""The engine: about one thread per core, and a queue that is limited by its expected waiting time.

    submit(jobs) -> QueueFull, at once: they would wait longer than the limit
                 -> the lane of small work, first in, first out
        a thread takes a job -> its future was cancelled: dropped
                             -> its deadline passed: DeadlinePassed
                             -> it has waited too long in a standing queue: QueueFull
                             -> it runs, and reads the header of its image
                                -> it can never have the memory: TooMuchMemory
                                -> small, and there is memory: it goes on -> its future
                                -> else: back, into the lane of large work
                                   -> memory and a thread are free -> it runs -> its future

    engine         the threads
    work_queue     both lanes, and which job is next
    large_lane     large work: its order, its memory, and the bound for one client
    standing_queue CoDel: tells a queue that lasts from a burst
    estimate       a measured time that decays to the configured one
    job            a job, its batch, and its turn on a thread

Decoding, resizing and ONNX Runtime's run release the GIL, so threads are enough. All work on an
image runs on these threads.
"""

from app.runtime.engine.engine import Engine
from app.runtime.engine.job import NO_ENGINE, Turn
from app.runtime.engine.work_queue import COST_S, LARGE_BYTES, LARGE_S

__all__ = ["COST_S", "LARGE_BYTES", "LARGE_S", "NO_ENGINE", "Engine", "Turn"]
