"""A server process: CPU time and memory of the process and its children. Linux only."""

import contextlib
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_START_S = 180
_NEVER_ASSIGNED = range(20_000, 32_000)
"""Linux assigns ports from 32768 on, by net.ipv4.ip_local_port_range."""


def free_port() -> int:
    """Return a port without a listener that no other program is assigned by chance meanwhile."""
    while True:
        port = random.SystemRandom().choice(_NEVER_ASSIGNED)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def compiling() -> dict[str, str]:
    """Return this process's environment, in which compiled modules are kept as when installed."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def idle_s() -> float:
    """Return the seconds that all cores have been idle since the machine started."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split(None, 6)
    return (int(fields[4]) + int(fields[5])) / _TICKS  # idle, and waiting for the disk


def busy_s() -> float:
    """Return the seconds that all cores together have been busy since the machine started."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split(None, 9)
    return sum(map(int, (*fields[1:4], *fields[6:9]))) / _TICKS


class ServerProcess:
    """A running server.

    Args:
        command: the command that starts it.
        environment: variables in addition to those of this process.
        is_ready: returns whether the server responds.
    """

    def __init__(
        self, command: Sequence[str], environment: dict[str, str], is_ready: Callable[[], bool]
    ) -> None:
        self._popen = subprocess.Popen(
            command,
            env=compiling() | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_S
        while not is_ready():
            if self._popen.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise SystemExit(f"{' '.join(command)} does not start. Try it by hand.")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """The id of the process that was started."""
        return self._popen.pid

    def stop(self) -> None:
        """Stop the server and its children."""
        tree = self._tree()
        self._popen.terminate()
        try:
            self._popen.wait(20)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        for pid in tree:
            if Path(f"/proc/{pid}").exists() and pid != self._popen.pid:
                os.kill(pid, 9)

    def cpu_s(self) -> float:
        """Return the CPU seconds that all its processes have used."""
        return sum(_cpu_s(pid) for pid in self._tree())

    def pss_mb(self) -> float:
        """Return the proportional set size of all its processes, in MB."""
        total = 0
        for pid in self._tree():
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            total += int(text.split("Pss:")[1].split()[0])
        return total * 1024 / 1e6

    def _tree(self) -> list[int]:
        pids = [self._popen.pid]
        for pid in pids:  # grows during the iteration
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                pids += map(int, task.read_text(encoding="ascii").split())
        return pids


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
